// Stalls that the server is to blame for.
#include "faults/rpc_fault.h"

#include <cerrno>
#include <cstring>

#include <unistd.h>

#include "faults/helpers.h"
#include "meta.pb.h"

namespace zbs
{

namespace
{

// Common to the kinds that meta-dump's ListDb runs into.
class ListDbFault : public RpcFault
{
      public:
	using RpcFault::RpcFault;

	bool Begin(std::string *error) override
	{
		if (!parts_.server) {
			*error = "the server is in another process: command it there";
			return false;
		}
		if (parts_.dump)
			parts_.dump->channel()->set_timeout_ms(TimeoutMs());
		BeginServer();
		return true;
	}

	void End() override
	{
		EndServer();
		if (parts_.dump)
			parts_.dump->channel()->set_timeout_ms(rpc::kDefaultTimeoutMs);
	}

	bool OnStuck(const rpc::CallInfo &, JsonObject *record) override
	{
		record->Text("syscall", "poll");
		return ServerTid() != 0;
	}

      protected:
	virtual void BeginServer() = 0;
	virtual void EndServer() = 0;
};

// The request reaches the server's receive queue, and stays there.
class SilentServer : public ListDbFault
{
      public:
	using ListDbFault::ListDbFault;

	pid_t ServerTid() const override
	{
		return parts_.server->muted_tid();
	}

      protected:
	void BeginServer() override
	{
		parts_.server->Mute(rpc::kListDb);
	}

	void EndServer() override
	{
		parts_.server->Unmute();
	}
};

// A server that does not even accept: its kernel does all there is to see.
class UnacceptedServer : public RpcFault
{
      public:
	using RpcFault::RpcFault;

	bool Begin(std::string *error) override
	{
		listen_fd_ = rpc::ListenSocket(0, 64);
		if (listen_fd_ < 0) {
			*error = std::string("listen: ") + strerror(errno);
			return false;
		}
		caller_ = std::make_unique<Caller>(
			parts_.calls, rpc::Endpoint{"127.0.0.1", rpc::LocalPort(listen_fd_)}, TimeoutMs());
		caller_->Start(Victim(), [](rpc::Channel *channel) {
			meta::MetaService_Stub stub(channel);
			meta::Void request;
			meta::ListDbResponse response;
			rpc::Controller controller;

			stub.ListDb(&controller, &request, &response, nullptr);
		});
		return true;
	}

	void End() override
	{
		caller_->Stop();
		close(listen_fd_);
	}

	bool OnStuck(const rpc::CallInfo &, JsonObject *record) override
	{
		record->Text("syscall", "poll");
		return true;
	}

	std::string Victim() const override
	{
		return "meta-dump-2";
	}

      private:
	int listen_fd_ = -1;
	std::unique_ptr<Caller> caller_;
};

class SlowServer : public ListDbFault
{
      public:
	using ListDbFault::ListDbFault;

	pid_t ServerTid() const override
	{
		return parts_.service->listing_tid();
	}

	int64_t StuckAfterMs() const override
	{
		return std::min<int64_t>(DelayMs() / 2, 300);
	}

      protected:
	void BeginServer() override
	{
		parts_.service->set_list_delay_ms(static_cast<uint64_t>(DelayMs()));
	}

	void EndServer() override
	{
		parts_.service->set_list_delay_ms(0);
	}

      private:
	int64_t DelayMs() const
	{
		return params_.Number("ms", 3000);
	}
};

// The worker reads the request and then waits for a lock that a sleeping thread holds.
class ServerMutex : public ListDbFault
{
      public:
	using ListDbFault::ListDbFault;

	bool OnStuck(const rpc::CallInfo &call, JsonObject *record) override
	{
		record->Number("holder_tid", holder_.tid()).Text("holder_thread", "mutex-holder");
		return ListDbFault::OnStuck(call, record);
	}

	pid_t ServerTid() const override
	{
		return parts_.service->listing_tid();
	}

      protected:
	void BeginServer() override
	{
		holder_.Start("mutex-holder", &parts_.service->db_mutex());
	}

	void EndServer() override
	{
		holder_.Stop();
	}

      private:
	MutexHolder holder_;
};

} // namespace

std::unique_ptr<RpcFault> NewServerFault(const std::string &name, const RpcParts &parts,
					 const FaultParams &params)
{
	if (name == "silent-server" && params.Text("mode", "unread") == "unaccepted")
		return std::make_unique<UnacceptedServer>(parts, params);
	if (name == "silent-server")
		return std::make_unique<SilentServer>(parts, params);
	if (name == "slow-server")
		return std::make_unique<SlowServer>(parts, params);
	if (name == "server-mutex")
		return std::make_unique<ServerMutex>(parts, params);
	return nullptr;
}

} // namespace zbs
