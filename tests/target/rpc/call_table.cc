#include "rpc/call_table.h"

#include <unistd.h>

#include "rpc/socket.h"
#include "thread.h"

namespace zbs::rpc
{

uint64_t CallTable::Begin(const std::string &method, int timeout_ms)
{
	CallInfo call;

	call.method = method;
	call.thread = ThreadName();
	call.tid = gettid();
	call.started_ns = MonotonicNs();
	call.timeout_ms = timeout_ms;

	std::lock_guard<std::mutex> lock(mutex_);
	call.id = next_id_++;
	calls_.push_back(call);
	return call.id;
}

void CallTable::SetSocket(uint64_t id, int fd, const std::string &remote)
{
	uint64_t inode = SocketInode(fd);
	std::lock_guard<std::mutex> lock(mutex_);

	for (CallInfo &call : calls_) {
		if (call.id != id)
			continue;
		call.fd = fd;
		call.inode = inode;
		call.remote = remote;
	}
}

void CallTable::End(uint64_t id, bool ok)
{
	std::lock_guard<std::mutex> lock(mutex_);

	calls_.remove_if([id](const CallInfo &call) { return call.id == id; });
	(ok ? done_ : failed_)++;
}

std::vector<CallInfo> CallTable::UnderWay() const
{
	std::lock_guard<std::mutex> lock(mutex_);

	return {calls_.begin(), calls_.end()};
}

uint64_t CallTable::done() const
{
	std::lock_guard<std::mutex> lock(mutex_);

	return done_;
}

uint64_t CallTable::failed() const
{
	std::lock_guard<std::mutex> lock(mutex_);

	return failed_;
}

} // namespace zbs::rpc
