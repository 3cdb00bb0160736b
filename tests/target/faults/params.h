// The KEY=VALUE words of a fault command.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

namespace zbs
{

class FaultParams
{
      public:
	void Set(const std::string &key, const std::string &value)
	{
		values_[key] = value;
	}

	std::string Text(const std::string &key, const std::string &otherwise) const
	{
		auto entry = values_.find(key);

		return entry == values_.end() ? otherwise : entry->second;
	}

	int64_t Number(const std::string &key, int64_t otherwise) const
	{
		auto entry = values_.find(key);

		return entry == values_.end() ? otherwise : strtoll(entry->second.c_str(), nullptr, 0);
	}

      private:
	std::map<std::string, std::string> values_;
};

} // namespace zbs
