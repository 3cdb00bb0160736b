// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// An RPC client with protobuf's classes as versions 2.5 to 3.13 have them, linked statically as far as anybody can tell: built
// with strings of the old and of today's ABI. Calls until a line comes on stdin, then one that the server does not
// answer. usage: legacy_rpc PORT
#include <arpa/inet.h>
#include <cstdlib>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

namespace google
{
namespace protobuf
{
class Message;
class RpcController;
class Closure;

class MethodDescriptor
{
      public:
	MethodDescriptor(const std::string *name, const std::string *full_name) : name_(name), full_name_(full_name)
	{
	}
	const std::string &name() const
	{
		return *name_;
	}
	const std::string &full_name() const
	{
		return *full_name_;
	}

      private:
	const std::string *name_;
	const std::string *full_name_;
	const void *service_ = nullptr, *input_ = nullptr, *output_ = nullptr, *options_ = nullptr;
};

class RpcChannel
{
      public:
	virtual ~RpcChannel()
	{
	}
	virtual void CallMethod(const MethodDescriptor *method, RpcController *controller, const Message *request,
				Message *response, Closure *done) = 0;
};
} // namespace protobuf
} // namespace google

class Channel : public google::protobuf::RpcChannel
{
      public:
	explicit Channel(int fd) : fd_(fd)
	{
	}
	void CallMethod(const google::protobuf::MethodDescriptor *method, google::protobuf::RpcController *,
			const google::protobuf::Message *, google::protobuf::Message *, google::protobuf::Closure *) override;

      private:
	int fd_;
};

__attribute__((noinline)) void Channel::CallMethod(const google::protobuf::MethodDescriptor *method,
						   google::protobuf::RpcController *, const google::protobuf::Message *,
						   google::protobuf::Message *, google::protobuf::Closure *)
{
	std::string line = (method->name() == "Hang" ? "silent " : "hello ") + method->full_name() + "\n";
	char answer[256];

	if (write(fd_, line.data(), line.size()) < 0 || read(fd_, answer, sizeof(answer)) <= 0)
		exit(1);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_family = AF_INET;
	to.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, reinterpret_cast<struct sockaddr *>(&to), sizeof(to)) < 0)
		return 1;

	std::string ping = "Ping", hang = "Hang", full_ping = "legacy.Service.Ping", full_hang = "legacy.Service.Hang";
	google::protobuf::MethodDescriptor pings(&ping, &full_ping), hangs(&hang, &full_hang);
	google::protobuf::RpcChannel *channel = new Channel(fd);

	struct pollfd go = {0, POLLIN, 0};

	while (poll(&go, 1, 100) == 0)
		channel->CallMethod(&pings, nullptr, nullptr, nullptr, nullptr);
	channel->CallMethod(&hangs, nullptr, nullptr, nullptr, nullptr);
	return 0;
}
