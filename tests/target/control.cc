#include "control.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rpc/socket.h"
#include "thread.h"

namespace zbs
{

namespace
{

bool FillAddress(const std::string &path, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (path.size() >= sizeof(address->sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(address->sun_path, path.c_str(), path.size() + 1);
	return true;
}

bool ReadLine(int fd, std::string *line)
{
	char c;

	line->clear();
	while (read(fd, &c, 1) == 1) {
		if (c == '\n')
			return true;
		*line += c;
	}
	return false;
}

} // namespace

Control::Control(Handler handler) : handler_(std::move(handler))
{
}

Control::~Control()
{
	Stop();
}

bool Control::Start(const std::string &path)
{
	struct sockaddr_un address;

	if (!FillAddress(path, &address))
		return false;
	path_ = path;
	unlink(path.c_str());
	listen_fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listen_fd_ < 0 ||
	    bind(listen_fd_, reinterpret_cast<struct sockaddr *>(&address), sizeof(address)) < 0 ||
	    listen(listen_fd_, 16) < 0)
		return false;
	thread_ = StartThread("control", [this] { Run(); });
	return true;
}

void Control::Stop()
{
	if (!thread_.joinable())
		return;
	stopping_.store(true);
	shutdown(listen_fd_, SHUT_RDWR);
	thread_.join();
	close(listen_fd_);
	unlink(path_.c_str());
}

// One client at a time. A client that says nothing for long is dropped, so that it cannot lock out the
// others.
void Control::Serve(int fd)
{
	struct pollfd wait = {fd, POLLIN, 0};
	std::string line;

	while (!stopping_.load() && poll(&wait, 1, 2000) > 0 && ReadLine(fd, &line)) {
		std::string answer = handler_(line) + "\n";

		if (!rpc::SendAll(fd, answer.data(), answer.size()))
			return;
	}
}

void Control::Run()
{
	while (!stopping_.load()) {
		int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		Serve(fd);
		close(fd);
	}
}

int RunControlClient(const std::string &path, const std::string &line)
{
	struct sockaddr_un address;
	std::string request = line + "\n";
	std::string answer;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || !FillAddress(path, &address) ||
	    connect(fd, reinterpret_cast<struct sockaddr *>(&address), sizeof(address)) < 0) {
		fprintf(stderr, "target: %s: %s\n", path.c_str(), strerror(errno));
		return 2;
	}
	if (!rpc::SendAll(fd, request.data(), request.size()) || !ReadLine(fd, &answer)) {
		fprintf(stderr, "target: %s: no answer\n", path.c_str());
		return 2;
	}
	close(fd);
	printf("%s\n", answer.c_str());
	return answer.rfind("{\"ok\":true", 0) == 0 ? 0 : 1;
}

} // namespace zbs
