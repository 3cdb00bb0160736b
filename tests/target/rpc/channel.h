// The client side: one connection, one call at a time, made by one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include <google/protobuf/service.h>

#include "rpc/call_table.h"
#include "rpc/socket.h"
#include "rpc/wire.h"

namespace zbs::rpc
{

constexpr int kDefaultTimeoutMs = 10000;

class Controller : public google::protobuf::RpcController
{
      public:
	void Reset() override;
	bool Failed() const override;
	std::string ErrorText() const override;
	void StartCancel() override;
	void SetFailed(const std::string &reason) override;
	bool IsCanceled() const override;
	void NotifyOnCancel(google::protobuf::Closure *callback) override;

      private:
	bool failed_ = false;
	std::string reason_;
};

class Channel : public google::protobuf::RpcChannel
{
      public:
	Channel(CallTable *calls, const Endpoint &server);
	~Channel() override;
	Channel(const Channel &) = delete;
	Channel &operator=(const Channel &) = delete;

	// Sends the request and waits for the response. `controller` is a Controller; `done` may be null.
	void CallMethod(const google::protobuf::MethodDescriptor *method,
			google::protobuf::RpcController *controller, const google::protobuf::Message *request,
			google::protobuf::Message *response, google::protobuf::Closure *done) override;

	// For how long a call waits for the response's header; -1 for ever.
	void set_timeout_ms(int timeout_ms);
	int fd() const;
	const Endpoint &server() const;
	// From another thread: cuts the connection so that a blocked call fails.
	void Abort();

	// The bug of a janitor that takes a connection in use for an idle one: closes it and opens another
	// under the same number, by close() and socket() or by one dup3(). False when the number could not be
	// had.
	bool Replace(bool by_dup);

	// Guards what the connection's owner and its janitor share. CallMethod takes it between sending and
	// waiting.
	std::mutex &state_mutex();
	// The bug of a reconnect that forgets the waiter: waits for this descriptor instead of its own (-1:
	// its own).
	void set_wait_fd(int fd);

      private:
	bool Call(uint64_t call, const google::protobuf::MethodDescriptor *method,
		  const google::protobuf::Message &request, google::protobuf::Message *response,
		  std::string *error);
	bool Connect(uint64_t call, std::string *error);
	bool SendRequest(const FrameHeader &header, const std::string &payload);
	// The descriptor to wait for. Marks the request as sent.
	int RequestSent();
	// True when the descriptor is readable before the deadline (CLOCK_MONOTONIC; 0 for none).
	bool WaitReadable(int fd, uint64_t deadline_ns);
	bool ReadHeader(FrameHeader *header, uint64_t deadline_ns);
	bool ReadPayload(uint32_t length, std::string *payload);
	void Close();

	CallTable *const calls_;
	const Endpoint server_;
	std::atomic<int> fd_{-1};
	std::atomic<int> timeout_ms_{kDefaultTimeoutMs};
	std::mutex state_mutex_;
	int wait_fd_ = -1;
	uint64_t sent_ = 0;
	uint64_t next_id_ = 1;
	bool timed_out_ = false;
};

} // namespace zbs::rpc
