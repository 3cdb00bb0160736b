#include "rpc/server.h"

#include <cerrno>
#include <memory>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/channel.h"
#include "rpc/socket.h"
#include "thread.h"

#define NOINLINE __attribute__((noinline))

namespace zbs::rpc
{

namespace
{
constexpr size_t kFirstWorkers = 4;
constexpr size_t kMaxWorkers = 256;
} // namespace

Server::Server(google::protobuf::Service *service) : service_(service)
{
	const google::protobuf::ServiceDescriptor *descriptor = service->GetDescriptor();

	for (int i = 0; i < descriptor->method_count(); i++)
		methods_[MethodHash(descriptor->method(i)->full_name())] = descriptor->method(i);
}

Server::~Server()
{
	Stop();
}

bool Server::Start(uint16_t port)
{
	listen_fd_ = ListenSocket(port, 511);
	if (listen_fd_ < 0)
		return false;
	port_ = LocalPort(listen_fd_);
	{
		std::lock_guard<std::mutex> lock(mutex_);
		for (size_t i = 0; i < kFirstWorkers; i++)
			AddWorker();
	}
	acceptor_ = StartThread("rpc-accept", [this] { RunAccept(); });
	return true;
}

void Server::Stop()
{
	std::vector<std::thread> workers;

	if (listen_fd_ < 0)
		return;
	stopping_.store(true);
	Unmute();
	shutdown(listen_fd_, SHUT_RDWR);
	acceptor_.join();
	{
		std::lock_guard<std::mutex> lock(mutex_);
		for (int fd : open_)
			shutdown(fd, SHUT_RDWR);
		workers.swap(workers_);
	}
	accepted_.notify_all();
	for (std::thread &worker : workers)
		worker.join();
	close(listen_fd_);
	listen_fd_ = -1;
}

uint16_t Server::port() const
{
	return port_;
}

uint64_t Server::served() const
{
	return served_.load();
}

int Server::ServedFd(pid_t worker)
{
	std::lock_guard<std::mutex> lock(mutex_);
	auto entry = serving_.find(worker);

	return entry == serving_.end() ? -1 : entry->second;
}

// The caller holds mutex_.
void Server::AddWorker()
{
	workers_.push_back(
		StartThread("rpc-worker-" + std::to_string(workers_.size()), [this] { RunWorker(); }));
	idle_workers_++;
}

void Server::RunAccept()
{
	for (;;) {
		int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC);

		if (fd < 0) {
			if (stopping_.load())
				return;
			if (errno != EINTR && errno != ECONNABORTED)
				SleepMs(10);
			continue;
		}

		std::lock_guard<std::mutex> lock(mutex_);
		waiting_.push_back(fd);
		open_.insert(fd);
		if (idle_workers_ < waiting_.size() && workers_.size() < kMaxWorkers)
			AddWorker();
		accepted_.notify_one();
	}
}

void Server::RunWorker()
{
	std::unique_lock<std::mutex> lock(mutex_);

	for (;;) {
		accepted_.wait(lock, [this] { return stopping_.load() || !waiting_.empty(); });
		if (waiting_.empty())
			return;
		int fd = waiting_.front();
		waiting_.pop_front();
		idle_workers_--;
		serving_[gettid()] = fd;
		lock.unlock();
		Serve(fd);
		lock.lock();
		serving_.erase(gettid());
		open_.erase(fd);
		close(fd);
		idle_workers_++;
	}
}

void Server::Serve(int fd)
{
	while (!stopping_.load() && ServeRequest(fd))
		served_.fetch_add(1);
}

NOINLINE bool Server::AwaitRequest(int fd)
{
	struct pollfd wait = {fd, POLLIN, 0};

	while (poll(&wait, 1, -1) < 0) {
		if (errno != EINTR)
			return false;
	}
	if (muted_method_.load())
		StayMute(fd);
	return true;
}

NOINLINE void Server::StayMute(int fd)
{
	FrameHeader header;

	// Peeks, so that the request stays in the receive queue.
	if (recv(fd, &header, sizeof(header), MSG_PEEK) != static_cast<ssize_t>(sizeof(header)))
		return;

	std::unique_lock<std::mutex> lock(mute_mutex_);
	if (header.method != muted_method_.load())
		return;
	muted_tid_.store(gettid());
	unmuted_.wait(lock, [this, &header] { return header.method != muted_method_.load(); });
}

NOINLINE bool Server::ReadRequest(int fd, FrameHeader *header, std::string *payload)
{
	if (!AwaitRequest(fd) || !ReceiveAll(fd, header, sizeof(*header)))
		return false;
	if (header->magic != kMagic || header->kind != FrameKind::kRequest || header->length > kMaxPayload)
		return false;
	payload->resize(header->length);
	return ReceiveAll(fd, &(*payload)[0], header->length);
}

Status Server::Handle(uint64_t method, const std::string &payload, std::string *reply)
{
	auto entry = methods_.find(method);

	if (entry == methods_.end())
		return Status::kNoSuchMethod;

	std::unique_ptr<google::protobuf::Message> request(
		service_->GetRequestPrototype(entry->second).New());
	std::unique_ptr<google::protobuf::Message> response(
		service_->GetResponsePrototype(entry->second).New());
	Controller controller;

	if (!request->ParseFromString(payload))
		return Status::kBadRequest;
	service_->CallMethod(entry->second, &controller, request.get(), response.get(), nullptr);
	response->SerializeToString(reply);
	return controller.Failed() ? Status::kBadRequest : Status::kOk;
}

NOINLINE bool Server::ServeRequest(int fd)
{
	FrameHeader header;
	std::string payload;
	std::string reply;

	if (!ReadRequest(fd, &header, &payload))
		return false;
	header.status = Handle(header.method, payload, &reply);
	header.kind = FrameKind::kResponse;
	header.length = static_cast<uint32_t>(reply.size());
	reply.insert(0, reinterpret_cast<const char *>(&header), sizeof(header));
	return SendAll(fd, reply.data(), reply.size());
}

void Server::Mute(const std::string &method)
{
	std::lock_guard<std::mutex> lock(mute_mutex_);

	muted_tid_.store(0);
	muted_method_.store(MethodHash(method));
}

void Server::Unmute()
{
	{
		std::lock_guard<std::mutex> lock(mute_mutex_);
		muted_method_.store(0);
		muted_tid_.store(0);
	}
	unmuted_.notify_all();
}

pid_t Server::muted_tid() const
{
	return muted_tid_.load();
}

} // namespace zbs::rpc
