#include "json.h"

#include <cinttypes>
#include <cstdio>

namespace zbs
{

void JsonObject::Key(const char *key)
{
	if (!body_.empty())
		body_ += ',';
	body_ += '"';
	body_ += key;
	keys_.insert(key);
	body_ += "\":";
}

JsonObject &JsonObject::Text(const char *key, const std::string &value)
{
	Key(key);
	body_ += '"';
	for (unsigned char c : value) {
		char escaped[8];

		if (c == '"' || c == '\\') {
			body_ += '\\';
			body_ += static_cast<char>(c);
		} else if (c < 0x20) {
			snprintf(escaped, sizeof(escaped), "\\u%04x", c);
			body_ += escaped;
		} else {
			body_ += static_cast<char>(c);
		}
	}
	body_ += '"';
	return *this;
}

JsonObject &JsonObject::Number(const char *key, int64_t value)
{
	Key(key);
	body_ += std::to_string(value);
	return *this;
}

JsonObject &JsonObject::Hex(const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "\"0x%" PRIx64 "\"", value);
	return Raw(key, text);
}

JsonObject &JsonObject::Bool(const char *key, bool value)
{
	return Raw(key, value ? "true" : "false");
}

JsonObject &JsonObject::Null(const char *key)
{
	return Raw(key, "null");
}

JsonObject &JsonObject::Raw(const char *key, const std::string &value)
{
	Key(key);
	body_ += value;
	return *this;
}

JsonObject &JsonObject::Append(const JsonObject &other)
{
	if (!body_.empty() && !other.body_.empty())
		body_ += ',';
	body_ += other.body_;
	keys_.insert(other.keys_.begin(), other.keys_.end());
	return *this;
}

bool JsonObject::Has(const std::string &key) const
{
	return keys_.count(key) != 0;
}

std::string JsonObject::Line() const
{
	return "{" + body_ + "}";
}

} // namespace zbs
