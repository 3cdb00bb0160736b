// Stalls that the client, its connection or the network is to blame for.
#include "faults/rpc_fault.h"

#include <cerrno>
#include <cstring>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults/helpers.h"
#include "log.h"
#include "meta.pb.h"
#include "rpc/socket.h"
#include "thread.h"

namespace zbs
{

namespace
{

int QueuedBytes(int fd, unsigned long request)
{
	int bytes = 0;

	return ioctl(fd, request, &bytes) == 0 ? bytes : -1;
}

// A janitor closes a connection that it takes for idle while meta-dump polls it, and the number is used again
// at once.
class DeadFd : public RpcFault
{
      public:
	using RpcFault::RpcFault;

	bool Begin(std::string *error) override
	{
		if (!parts_.server || !parts_.dump) {
			*error = "needs client and server in this process";
			return false;
		}
		// The server must not answer while poll() is to stay asleep.
		parts_.server->Mute(rpc::kListDb);
		parts_.dump->channel()->set_timeout_ms(TimeoutMs());
		return true;
	}

	bool OnStuck(const rpc::CallInfo &call, JsonObject *record) override
	{
		if (call.id == tried_)
			return false;
		tried_ = call.id;

		rpc::Channel *channel = parts_.dump->channel();
		std::string local = rpc::LocalAddress(call.fd);
		uint64_t replaced_ns = MonotonicNs();

		if (!channel->Replace(params_.Text("via", "close") == "dup2")) {
			LOG_WARNING("the number of the closed connection was taken by another");
			return false;
		}
		replaced_ = true;
		record->Text("syscall", "poll")
			.Text("local", local)
			.Text("function", "zbs::rpc::Channel::Replace");
		record->Number("replaced_ns", static_cast<int64_t>(replaced_ns));
		record->Number("other_tid", gettid()).Text("other_thread", ThreadName());
		record->Number("new_inode", static_cast<int64_t>(rpc::SocketInode(call.fd)));
		record->Text("new_local", rpc::LocalAddress(call.fd));
		return true;
	}

	void End() override
	{
		parts_.dump->channel()->set_timeout_ms(rpc::kDefaultTimeoutMs);
		parts_.server->Unmute();
		// The reply to the old connection wakes poll(); the new one will never carry it.
		if (replaced_)
			parts_.dump->channel()->Abort();
	}

	std::string Watcher() const override
	{
		return "conn-reaper";
	}

      private:
	uint64_t tried_ = 0; // the call whose connection was last replaced
	bool replaced_ = false;
};

// The reply is there, but the thread that should read it waits for a lock.
class ReplyUnread : public RpcFault
{
      public:
	using RpcFault::RpcFault;

	bool Begin(std::string *error) override
	{
		if (!parts_.dump) {
			*error = "needs a client in this process";
			return false;
		}
		parts_.dump->channel()->set_timeout_ms(TimeoutMs());
		janitor_.Start("conn-janitor", &parts_.dump->channel()->state_mutex());
		return true;
	}

	bool OnStuck(const rpc::CallInfo &call, JsonObject *record) override
	{
		int bytes = QueuedBytes(call.fd, SIOCINQ);

		record->Text("syscall", "futex").Number("recv_queue", bytes);
		record->Number("other_tid", janitor_.tid()).Text("other_thread", "conn-janitor");
		return bytes > 0;
	}

	void End() override
	{
		janitor_.Stop();
		parts_.dump->channel()->set_timeout_ms(rpc::kDefaultTimeoutMs);
	}

      private:
	MutexHolder janitor_;
};

// The reply is there, but the thread polls another connection.
class ReplyElsewhere : public RpcFault
{
      public:
	using RpcFault::RpcFault;

	bool Begin(std::string *error) override
	{
		if (!parts_.dump) {
			*error = "needs a client in this process";
			return false;
		}
		wait_fd_ = parts_.load->idle_channel()->fd();
		parts_.dump->channel()->set_timeout_ms(TimeoutMs());
		parts_.dump->channel()->set_wait_fd(wait_fd_);
		return true;
	}

	bool OnStuck(const rpc::CallInfo &call, JsonObject *record) override
	{
		int bytes = QueuedBytes(call.fd, SIOCINQ);

		record->Text("syscall", "poll").Number("recv_queue", bytes).Number("polled_fd", wait_fd_);
		record->Number("polled_inode", static_cast<int64_t>(rpc::SocketInode(wait_fd_)));
		return bytes > 0;
	}

	void End() override
	{
		parts_.dump->channel()->set_wait_fd(-1);
		parts_.dump->channel()->set_timeout_ms(rpc::kDefaultTimeoutMs);
		// Wakes the thread that polls it; the pool then gets a new connection.
		parts_.load->idle_channel()->Abort();
		SleepMs(50);
		parts_.load->WarmPool();
	}

      private:
	int wait_fd_ = -1;
};

// A bulk write into a peer that never reads: its window closes, and send() blocks.
class PeerWindowClosed : public RpcFault
{
      public:
	using RpcFault::RpcFault;

	bool Begin(std::string *error) override
	{
		if (!parts_.server) {
			*error = "needs the server in this process";
			return false;
		}
		parts_.server->Mute(rpc::kPutSnapshot);
		caller_ = std::make_unique<Caller>(
			parts_.calls, rpc::Endpoint{"127.0.0.1", parts_.server->port()}, TimeoutMs());
		caller_->Start(Victim(), [](rpc::Channel *channel) {
			meta::MetaService_Stub stub(channel);
			meta::PutSnapshotRequest request;
			meta::PutSnapshotResponse response;
			rpc::Controller controller;

			request.set_name("meta");
			request.set_data(std::string(kSnapshotBytes, 's'));
			stub.PutSnapshot(&controller, &request, &response, nullptr);
		});
		return true;
	}

	bool OnStuck(const rpc::CallInfo &call, JsonObject *record) override
	{
		int unsent = QueuedBytes(call.fd, SIOCOUTQNSD);

		record->Text("syscall", "sendto").Number("unsent", unsent);
		return unsent > 0 && ServerTid() != 0;
	}

	void End() override
	{
		parts_.server->Unmute();
		caller_->Stop();
	}

	pid_t ServerTid() const override
	{
		return parts_.server->muted_tid();
	}

	std::string Victim() const override
	{
		return "snapshot-sync";
	}

	std::string Method() const override
	{
		return rpc::kPutSnapshot;
	}

	int64_t StuckAfterMs() const override
	{
		return 1000;
	}

      private:
	// More than both sockets' buffers can grow to.
	static constexpr size_t kSnapshotBytes = 48u << 20;

	std::unique_ptr<Caller> caller_;
};

// A listener whose backlog is full drops further SYNs, as a host that is gone would.
class ConnectBlackhole : public RpcFault
{
      public:
	using RpcFault::RpcFault;

	bool Begin(std::string *error) override
	{
		listen_fd_ = rpc::ListenSocket(0, 0);
		if (listen_fd_ < 0) {
			*error = std::string("listen: ") + strerror(errno);
			return false;
		}
		rpc::Endpoint hole = {"127.0.0.1", rpc::LocalPort(listen_fd_)};
		filler_fd_ = rpc::NewSocket();
		if (filler_fd_ < 0 || rpc::ConnectSocket(filler_fd_, hole) < 0) {
			*error = std::string("connect: ") + strerror(errno);
			End();
			return false;
		}
		caller_ = std::make_unique<Caller>(parts_.calls, hole, TimeoutMs());
		caller_->Start(Victim(), [](rpc::Channel *channel) {
			meta::MetaService_Stub stub(channel);
			meta::PingRequest request;
			meta::PingResponse response;
			rpc::Controller controller;

			stub.Ping(&controller, &request, &response, nullptr);
		});
		return true;
	}

	bool OnStuck(const rpc::CallInfo &call, JsonObject *record) override
	{
		struct tcp_info info = {};
		socklen_t length = sizeof(info);

		record->Text("syscall", "connect");
		return getsockopt(call.fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
		       info.tcpi_state == TCP_SYN_SENT;
	}

	void End() override
	{
		if (caller_)
			caller_->Stop();
		if (filler_fd_ >= 0)
			close(filler_fd_);
		if (listen_fd_ >= 0)
			close(listen_fd_);
	}

	std::string Victim() const override
	{
		return "zk-session";
	}

	std::string Method() const override
	{
		return rpc::kPing;
	}

      private:
	int listen_fd_ = -1;
	int filler_fd_ = -1;
	std::unique_ptr<Caller> caller_;
};

} // namespace

std::unique_ptr<RpcFault> NewClientFault(const std::string &name, const RpcParts &parts,
					 const FaultParams &params)
{
	if (name == "dead-fd")
		return std::make_unique<DeadFd>(parts, params);
	if (name == "reply-unread" && params.Text("variant", "mutex") == "wrong-fd")
		return std::make_unique<ReplyElsewhere>(parts, params);
	if (name == "reply-unread")
		return std::make_unique<ReplyUnread>(parts, params);
	if (name == "peer-window-closed")
		return std::make_unique<PeerWindowClosed>(parts, params);
	if (name == "connect-blackhole")
		return std::make_unique<ConnectBlackhole>(parts, params);
	return nullptr;
}

} // namespace zbs
