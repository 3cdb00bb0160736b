#include "rpc/channel.h"

namespace zbs::rpc
{

void Controller::Reset()
{
	failed_ = false;
	reason_.clear();
}

bool Controller::Failed() const
{
	return failed_;
}

std::string Controller::ErrorText() const
{
	return reason_;
}

// Calls are synchronous: there is nobody to cancel one.
void Controller::StartCancel()
{
}

void Controller::SetFailed(const std::string &reason)
{
	failed_ = true;
	reason_ = reason;
}

bool Controller::IsCanceled() const
{
	return false;
}

void Controller::NotifyOnCancel(google::protobuf::Closure *)
{
}

} // namespace zbs::rpc
