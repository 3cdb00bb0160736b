#include "faults/rpc_faults.h"

#include <chrono>

#include "rpc/socket.h"
#include "thread.h"

namespace zbs
{

namespace
{

constexpr std::chrono::milliseconds kWatchPeriod(20);
constexpr std::chrono::seconds kLongestWait(15);

std::unique_ptr<RpcFault> NewFault(const std::string &name, const RpcParts &parts, const FaultParams &params)
{
	std::unique_ptr<RpcFault> fault = NewServerFault(name, parts, params);

	return fault ? std::move(fault) : NewClientFault(name, parts, params);
}

} // namespace

RpcFaults::RpcFaults(TruthLog *truth) : truth_(truth)
{
}

RpcFaults::~RpcFaults()
{
	Heal();
}

void RpcFaults::SetParts(const RpcParts &parts)
{
	parts_ = parts;
}

bool RpcFaults::Knows(const std::string &name)
{
	return NewFault(name, RpcParts(), FaultParams()) != nullptr;
}

uint64_t RpcFaults::injected() const
{
	return injected_.load();
}

// Without a call, the record is about the server's thread: its client is in another process.
void RpcFaults::Record(const rpc::CallInfo *call, const JsonObject &details)
{
	pid_t server_tid = fault_->ServerTid();
	JsonObject record;

	record.Text("event", "fault").Text("name", name_);
	record.Number("seq", static_cast<int64_t>(injected_.load() + 1));
	record.Number("time_ns", static_cast<int64_t>(call ? call->started_ns : MonotonicNs()));
	record.Number("seen_ns", static_cast<int64_t>(MonotonicNs())).Text("method", fault_->Method());
	record.Text("role", call ? "client" : "server");
	if (call) {
		record.Number("tid", call->tid).Text("thread", call->thread).Number("fd", call->fd);
		record.Number("inode", static_cast<int64_t>(call->inode)).Text("remote", call->remote);
		record.Number("timeout_ms", call->timeout_ms);
		if (!details.Has("local"))
			record.Text("local", rpc::LocalAddress(call->fd));
	}
	if (server_tid) {
		int fd = parts_.server->ServedFd(server_tid);

		record.Number(call ? "other_tid" : "tid", server_tid);
		record.Text(call ? "other_thread" : "thread", ThreadName(server_tid));
		record.Number(call ? "other_fd" : "fd", fd);
		record.Number(call ? "other_inode" : "inode", static_cast<int64_t>(rpc::SocketInode(fd)));
		if (!call)
			record.Text("local", rpc::LocalAddress(fd)).Text("remote", rpc::RemoteAddress(fd));
	}
	record.Append(details);
	truth_->Write(record);
	injected_.fetch_add(1);
	changed_.notify_all();
}

void RpcFaults::WatchOnce()
{
	uint64_t now = MonotonicNs();

	if (!parts_.dump && fault_->ServerTid() && injected_.load() == 0) {
		JsonObject details;

		fault_->OnStuck(rpc::CallInfo(), &details);
		Record(nullptr, details);
		return;
	}
	for (const rpc::CallInfo &call : parts_.calls->UnderWay()) {
		JsonObject details;

		if (call.thread != fault_->Victim() || call.method != fault_->Method() ||
		    recorded_.count(call.id) || call.started_ns < begun_ns_ ||
		    now < call.started_ns + static_cast<uint64_t>(fault_->StuckAfterMs()) * 1000000)
			continue;
		if (!fault_->OnStuck(call, &details))
			continue;
		recorded_.insert(call.id);
		Record(&call, details);
	}
}

void RpcFaults::Watch()
{
	std::unique_lock<std::mutex> lock(mutex_);

	while (!changed_.wait_for(lock, kWatchPeriod, [this] { return healing_; })) {
		lock.unlock();
		WatchOnce();
		lock.lock();
	}
}

bool RpcFaults::Inject(const std::string &name, const FaultParams &params, std::string *error)
{
	std::unique_ptr<RpcFault> fault = NewFault(name, parts_, params);

	name_ = name;
	recorded_.clear();
	begun_ns_ = MonotonicNs();
	injected_.store(0);
	healing_ = false;
	if (!fault->Begin(error))
		return false;
	fault_ = std::move(fault);
	watcher_ = StartThread(fault_->Watcher(), [this] { Watch(); });

	std::unique_lock<std::mutex> lock(mutex_);
	if (changed_.wait_for(lock, kLongestWait, [this] { return injected_.load() > 0; }))
		return true;
	lock.unlock();
	Heal();
	*error = "no call got stuck";
	return false;
}

void RpcFaults::Heal()
{
	if (!fault_)
		return;
	{
		std::lock_guard<std::mutex> lock(mutex_);
		healing_ = true;
	}
	changed_.notify_all();
	watcher_.join();
	fault_->End();
	fault_.reset();
}

} // namespace zbs
