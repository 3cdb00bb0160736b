#include "rpc/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "thread.h"

namespace zbs::rpc
{

bool EventLoop::Start()
{
	struct epoll_event interest = {};

	epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
	event_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	interest.events = EPOLLIN;
	interest.data.fd = event_fd_;
	if (epoll_fd_ < 0 || event_fd_ < 0 || epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, event_fd_, &interest) < 0)
		return false;
	thread_ = StartThread("event-loop", [this] { Run(); });
	return true;
}

void EventLoop::Run()
{
	while (!stopping_.load()) {
		struct epoll_event event;
		uint64_t count;

		if (epoll_wait(epoll_fd_, &event, 1, -1) == 1 &&
		    read(event_fd_, &count, sizeof(count)) == static_cast<ssize_t>(sizeof(count)))
			events_.fetch_add(count);
	}
}

void EventLoop::Notify()
{
	uint64_t one = 1;

	// Nothing is lost when the counter is full: the loop is awake then.
	if (write(event_fd_, &one, sizeof(one)) < 0)
		return;
}

uint64_t EventLoop::events() const
{
	return events_.load();
}

void EventLoop::Stop()
{
	stopping_.store(true);
	if (!thread_.joinable())
		return;
	Notify();
	thread_.join();
	close(event_fd_);
	close(epoll_fd_);
}

} // namespace zbs::rpc
