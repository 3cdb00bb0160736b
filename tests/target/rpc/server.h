// The server side: an acceptor, and worker threads that serve one connection each until it ends.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <google/protobuf/service.h>
#include <sys/types.h>

#include "rpc/wire.h"

namespace zbs::rpc
{

class Server
{
      public:
	explicit Server(google::protobuf::Service *service);
	~Server();

	// Listens on 127.0.0.1 and starts the threads rpc-accept and rpc-worker-N. False and errno when it
	// cannot.
	bool Start(uint16_t port);
	void Stop();
	uint16_t port() const;
	uint64_t served() const;
	// The connection that a worker serves, -1 when it has none.
	int ServedFd(pid_t worker);

	// Fault: requests of this method stay unread, with the worker that found one asleep, until Unmute().
	void Mute(const std::string &method);
	void Unmute();
	// The worker that sits in front of an unread request, 0 when there is none.
	pid_t muted_tid() const;

      private:
	void RunAccept();
	void RunWorker();
	void AddWorker();
	void Serve(int fd);
	// False when the connection is at its end.
	bool ServeRequest(int fd);
	bool AwaitRequest(int fd);
	bool ReadRequest(int fd, FrameHeader *header, std::string *payload);
	Status Handle(uint64_t method, const std::string &payload, std::string *reply);
	void StayMute(int fd);

	google::protobuf::Service *const service_;
	std::unordered_map<uint64_t, const google::protobuf::MethodDescriptor *> methods_;
	int listen_fd_ = -1;
	uint16_t port_ = 0;
	std::atomic<bool> stopping_{false};
	std::atomic<uint64_t> served_{0};
	std::thread acceptor_;

	std::mutex mutex_;
	std::condition_variable accepted_;
	std::deque<int> waiting_;
	std::set<int> open_;
	std::map<pid_t, int> serving_;
	std::vector<std::thread> workers_;
	size_t idle_workers_ = 0;

	std::atomic<uint64_t> muted_method_{0};
	std::atomic<pid_t> muted_tid_{0};
	std::mutex mute_mutex_;
	std::condition_variable unmuted_;
};

} // namespace zbs::rpc
