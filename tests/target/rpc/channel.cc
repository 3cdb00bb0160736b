#include "rpc/channel.h"

#include <cerrno>
#include <climits>
#include <cstring>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "thread.h"

#define NOINLINE __attribute__((noinline))

namespace zbs::rpc
{

uint64_t MethodHash(const std::string &full_name)
{
	uint64_t hash = 14695981039346656037u;

	for (unsigned char c : full_name)
		hash = (hash ^ c) * 1099511628211u;
	return hash;
}

Channel::Channel(CallTable *calls, const Endpoint &server) : calls_(calls), server_(server)
{
}

Channel::~Channel()
{
	Close();
}

void Channel::set_timeout_ms(int timeout_ms)
{
	timeout_ms_.store(timeout_ms);
}

int Channel::fd() const
{
	return fd_.load();
}

const Endpoint &Channel::server() const
{
	return server_;
}

std::mutex &Channel::state_mutex()
{
	return state_mutex_;
}

void Channel::set_wait_fd(int fd)
{
	std::lock_guard<std::mutex> lock(state_mutex_);

	wait_fd_ = fd;
}

void Channel::Abort()
{
	int fd = fd_.load();

	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
}

NOINLINE bool Channel::Replace(bool by_dup)
{
	int fd = fd_.load();
	int fresh = by_dup ? NewSocket() : -1;

	if (!by_dup) {
		close(fd);
		fresh = NewSocket();
	}
	if (fresh >= 0 && ConnectSocket(fresh, server_) == 0) {
		if (fresh == fd)
			return true;
		// A lower number was free. F_DUPFD takes exactly `fd` unless somebody else has it by now.
		int moved = by_dup ? dup3(fresh, fd, O_CLOEXEC) : fcntl(fresh, F_DUPFD_CLOEXEC, fd);
		close(fresh);
		if (moved == fd)
			return true;
		if (moved >= 0)
			close(moved);
	}
	// The number is not ours any more.
	fd_.store(-1);
	return false;
}

void Channel::Close()
{
	int fd = fd_.exchange(-1);

	if (fd >= 0)
		close(fd);
}

NOINLINE bool Channel::Connect(uint64_t call, std::string *error)
{
	if (fd_.load() < 0) {
		int fd = NewSocket();

		if (fd < 0) {
			*error = std::string("socket: ") + strerror(errno);
			return false;
		}
		fd_.store(fd);
		calls_->SetSocket(call, fd, server_.Text());
		if (ConnectSocket(fd, server_) < 0) {
			*error =
				"[EConnect]: failed to connect to " + server_.Text() + ": " + strerror(errno);
			return false;
		}
	}
	calls_->SetSocket(call, fd_.load(), server_.Text());
	return true;
}

NOINLINE bool Channel::SendRequest(const FrameHeader &header, const std::string &payload)
{
	std::string frame(reinterpret_cast<const char *>(&header), sizeof(header));

	frame += payload;
	return SendAll(fd_.load(), frame.data(), frame.size());
}

NOINLINE int Channel::RequestSent()
{
	std::lock_guard<std::mutex> lock(state_mutex_);

	sent_++;
	return wait_fd_ >= 0 ? wait_fd_ : fd_.load();
}

NOINLINE bool Channel::WaitReadable(int fd, uint64_t deadline_ns)
{
	struct pollfd wait = {fd, POLLIN, 0};

	for (;;) {
		uint64_t now = MonotonicNs();
		int timeout = -1;

		if (deadline_ns)
			timeout = now >= deadline_ns
					  ? 0
					  : static_cast<int>((deadline_ns - now + 999999) / 1000000);
		int ready = poll(&wait, 1, timeout);
		if (ready > 0)
			return true;
		if (ready == 0) {
			timed_out_ = true;
			return false;
		}
		if (errno != EINTR)
			return false;
	}
}

NOINLINE bool Channel::ReadHeader(FrameHeader *header, uint64_t deadline_ns)
{
	char *at = reinterpret_cast<char *>(header);
	size_t missing = sizeof(*header);
	int wait_fd = RequestSent();

	while (missing) {
		if (!WaitReadable(wait_fd, deadline_ns))
			return false;
		// Never blocks: what poll() reported may belong to another socket by now.
		ssize_t got = recv(fd_.load(), at, missing, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got <= 0)
			return false;
		at += got;
		missing -= static_cast<size_t>(got);
	}
	return header->magic == kMagic && header->kind == FrameKind::kResponse &&
	       header->length <= kMaxPayload;
}

NOINLINE bool Channel::ReadPayload(uint32_t length, std::string *payload)
{
	payload->resize(length);
	return ReceiveAll(fd_.load(), &(*payload)[0], length);
}

bool Channel::Call(uint64_t call, const google::protobuf::MethodDescriptor *method,
		   const google::protobuf::Message &request, google::protobuf::Message *response,
		   std::string *error)
{
	const std::string &name = method->full_name();
	int timeout_ms = timeout_ms_.load();
	FrameHeader header = {kMagic,	   kVersion,   FrameKind::kRequest, 0,
			      Status::kOk, next_id_++, MethodHash(name)};
	std::string payload;

	timed_out_ = false;
	request.SerializeToString(&payload);
	header.length = static_cast<uint32_t>(payload.size());
	if (!Connect(call, error))
		return false;
	if (!SendRequest(header, payload)) {
		*error = "[ESend]: failed to send request when calling: " + name;
		return false;
	}

	uint64_t deadline = timeout_ms < 0 ? 0 : MonotonicNs() + static_cast<uint64_t>(timeout_ms) * 1000000;
	if (!ReadHeader(&header, deadline)) {
		*error = std::string(timed_out_ ? "[ETimedOut]" : "[EReset]") +
			 ": failed to read response header when calling: " + name;
		return false;
	}
	if (!ReadPayload(header.length, &payload) || !response->ParseFromString(payload)) {
		*error = "[EReset]: failed to read response when calling: " + name;
		return false;
	}
	if (header.status != Status::kOk) {
		*error = "[EServer]: status " + std::to_string(static_cast<int>(header.status)) +
			 " when calling: " + name;
		return false;
	}
	return true;
}

void Channel::CallMethod(const google::protobuf::MethodDescriptor *method,
			 google::protobuf::RpcController *controller,
			 const google::protobuf::Message *request, google::protobuf::Message *response,
			 google::protobuf::Closure *done)
{
	uint64_t call = calls_->Begin(method->full_name(), timeout_ms_.load());
	std::string error;
	bool ok = Call(call, method, *request, response, &error);

	if (!ok) {
		// The stream may hold half a frame: only a new connection is safe.
		Close();
		controller->SetFailed(error);
	}
	calls_->End(call, ok);
	if (done)
		done->Run();
}

} // namespace zbs::rpc
