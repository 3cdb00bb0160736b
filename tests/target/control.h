// The control socket: one command a line in, one JSON object a line out.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

namespace zbs
{

class Control
{
      public:
	using Handler = std::function<std::string(const std::string &line)>;

	explicit Control(Handler handler);
	~Control();

	// Listens on a unix stream socket and starts the thread control. False and errno when it cannot.
	bool Start(const std::string &path);
	void Stop();

      private:
	void Run();
	void Serve(int fd);

	const Handler handler_;
	std::string path_;
	int listen_fd_ = -1;
	std::atomic<bool> stopping_{false};
	std::thread thread_;
};

// The client: sends one line, prints the answer. Returns 0, or 1 when the answer says that it failed, or 2
// when there is none.
int RunControlClient(const std::string &path, const std::string &line);

} // namespace zbs
