// Just enough JSON to write one object on one line.
#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace zbs
{

class JsonObject
{
      public:
	JsonObject &Text(const char *key, const std::string &value);
	JsonObject &Number(const char *key, int64_t value);
	// As "0x..", the way addresses and memory words are written everywhere in culprit.
	JsonObject &Hex(const char *key, uint64_t value);
	JsonObject &Bool(const char *key, bool value);
	JsonObject &Null(const char *key);
	// The value is JSON already: an array or an object.
	JsonObject &Raw(const char *key, const std::string &value);
	// All members of another object.
	JsonObject &Append(const JsonObject &other);
	bool Has(const std::string &key) const;
	std::string Line() const;

      private:
	void Key(const char *key);

	std::string body_;
	std::set<std::string> keys_;
};

} // namespace zbs
