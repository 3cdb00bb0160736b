#include "daemon.h"

#include <cerrno>
#include <cstring>
#include <sstream>

#include <unistd.h>

#include "log.h"
#include "thread.h"

namespace zbs
{

namespace
{

std::string Failure(const std::string &reason)
{
	return JsonObject().Bool("ok", false).Text("error", reason).Line();
}

std::string CallsJson(const std::vector<rpc::CallInfo> &calls)
{
	uint64_t now = MonotonicNs();
	std::string list;

	for (const rpc::CallInfo &call : calls) {
		JsonObject item;

		item.Number("id", static_cast<int64_t>(call.id))
			.Text("method", call.method)
			.Number("tid", call.tid);
		item.Text("thread", call.thread)
			.Number("age_ms", static_cast<int64_t>((now - call.started_ns) / 1000000));
		item.Number("timeout_ms", call.timeout_ms).Number("fd", call.fd);
		item.Number("inode", static_cast<int64_t>(call.inode)).Text("remote", call.remote);
		list += (list.empty() ? "" : ",") + item.Line();
	}
	return "[" + list + "]";
}

} // namespace

Daemon::Daemon(const Options &options)
    : options_(options),
      control_path_(options.control.empty() ? "/tmp/target." + std::to_string(getpid()) + ".ctl"
					    : options.control),
      meta_(options.inline_setters), load_(&meta_, options.load), service_(&meta_), server_(&service_),
      memory_faults_(&meta_, &worker_, &truth_, options.load.seed), rpc_faults_(&truth_),
      faults_(&memory_faults_, &rpc_faults_, &truth_),
      control_([this](const std::string &line) { return HandleCommand(line); })
{
}

// The fault kinds then know what there is to work on.
void Daemon::StartLoad(const rpc::Endpoint &server)
{
	RpcParts parts;

	parts.calls = &calls_;
	if (!options_.has_connect) {
		parts.server = &server_;
		parts.service = &service_;
	}
	if (!options_.server_only) {
		load_.Start();
		worker_.Start();
		dump_ = std::make_unique<rpc::DumpMeta>(&calls_, server);
		rpc_load_ = std::make_unique<rpc::RpcLoad>(
			&calls_, server, options_.rpc_rate,
			[this](uint64_t pick) { return load_.SomeExtent(pick); });
		rpc_load_->Start();
		dump_->Start();
		parts.dump = dump_.get();
		parts.load = rpc_load_.get();
	}
	rpc_faults_.SetParts(parts);
}

bool Daemon::Start(std::string *error)
{
	rpc::Endpoint server = options_.connect;

	started_ns_ = MonotonicNs();
	if (!options_.truth.empty() && !truth_.Open(options_.truth.c_str())) {
		*error = options_.truth + ": " + strerror(errno);
		return false;
	}
	if (!loop_.Start()) {
		*error = std::string("epoll: ") + strerror(errno);
		return false;
	}
	if (!options_.has_connect) {
		if (!server_.Start(options_.listen)) {
			*error = "port " + std::to_string(options_.listen) + ": " + strerror(errno);
			return false;
		}
		server = {"127.0.0.1", server_.port()};
	}
	port_ = server.port;
	StartLoad(server);
	if (!control_.Start(control_path_)) {
		*error = control_path_ + ": " + strerror(errno);
		return false;
	}
	return true;
}
std::string Daemon::ReadyLine() const
{
	return "ready pid=" + std::to_string(getpid()) + " control=" + control_path_ +
	       " port=" + std::to_string(port_);
}

// As in the incident, the main thread does next to nothing: it sleeps 100 ms, over and over.
void Daemon::Run(const std::atomic<bool> &interrupted)
{
	for (uint64_t round = 0; !interrupted.load() && !quitting_.load(); round++) {
		SleepMs(100);
		if (round % 20 == 0)
			loop_.Notify();
	}
}

void Daemon::Stop()
{
	faults_.Heal();
	control_.Stop();
	if (dump_)
		dump_->Stop();
	if (rpc_load_)
		rpc_load_->Stop();
	server_.Stop();
	load_.Stop();
	worker_.Stop();
	loop_.Stop();
}

std::string Daemon::Status()
{
	libmeta::MetaCounters meta = meta_.Counters();
	std::vector<rpc::CallInfo> calls = calls_.UnderWay();
	std::string fault = faults_.active();
	JsonObject status;

	status.Bool("ok", true).Number("pid", getpid()).Number("port", port_);
	status.Number("uptime_ms", static_cast<int64_t>((MonotonicNs() - started_ns_) / 1000000));
	status.Number("lease_ops", static_cast<int64_t>(load_.OperationsDone()));
	status.Number("leases_alive", static_cast<int64_t>(meta.alive));
	status.Number("leases_cached", static_cast<int64_t>(meta.cached));
	status.Number("leases_refreshed", static_cast<int64_t>(meta.refreshed));
	status.Number("leases_mutated", static_cast<int64_t>(meta.mutated));
	status.Number("leases_cleared", static_cast<int64_t>(meta.cleared));
	status.Number("leases_pinned", static_cast<int64_t>(meta.pinned));
	status.Number("rpc_done", static_cast<int64_t>(calls_.done()));
	status.Number("rpc_failed", static_cast<int64_t>(calls_.failed()));
	status.Number("rpc_in_flight", static_cast<int64_t>(calls.size()));
	status.Number("rpc_served", static_cast<int64_t>(server_.served()));
	status.Number("loop_events", static_cast<int64_t>(loop_.events()));
	if (fault.empty())
		status.Null("fault");
	else
		status.Text("fault", fault);
	status.Number("injected", static_cast<int64_t>(faults_.injected()));
	status.Raw("calls", CallsJson(calls));
	return status.Line();
}

std::string Daemon::HandleCommand(const std::string &line)
{
	std::istringstream words(line);
	std::string command;
	std::string name;
	std::string word;
	std::string error;
	FaultParams params;

	words >> command;
	if (command == "status")
		return Status();
	if (command == "heal") {
		faults_.Heal();
		return JsonObject().Bool("ok", true).Line();
	}
	if (command == "quit") {
		quitting_.store(true);
		return JsonObject().Bool("ok", true).Line();
	}
	if (command == "load" && (words >> name) && (name == "on" || name == "off")) {
		load_.Switch(name == "on");
		return JsonObject().Bool("ok", true).Line();
	}
	if (command != "fault" || !(words >> name))
		return Failure("commands: status, fault NAME [KEY=VALUE]..., heal, load off|on, quit");
	while (words >> word) {
		size_t equals = word.find('=');

		if (equals == std::string::npos)
			return Failure("not KEY=VALUE: " + word);
		params.Set(word.substr(0, equals), word.substr(equals + 1));
	}
	LOG_INFO("command: %s", line.c_str());
	if (!faults_.Inject(name, params, &error))
		return Failure(error);
	return JsonObject()
		.Bool("ok", true)
		.Text("fault", name)
		.Number("injected", static_cast<int64_t>(faults_.injected()))
		.Line();
}

} // namespace zbs
