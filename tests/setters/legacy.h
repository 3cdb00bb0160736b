// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Messages laid out as protobuf 2.5 does, with its setters and generated functions (written by hand: names, order and types of the
// members, and what the functions do to them, as its generator has them). Part of legacy.cc, which is the only one to include it.
#pragma once
#include <cstring>
#include <stdint.h>
#include <string>

#define NOINLINE __attribute__((noinline))

namespace google
{
namespace protobuf
{
class MessageLite
{
      public:
	virtual ~MessageLite();
	virtual void Clear() = 0;
};
class Message : public MessageLite
{
};
MessageLite::~MessageLite()
{
}
class UnknownFieldSet
{
      public:
	std::vector<int> *fields_;
};
namespace internal
{
const std::string kEmptyString;

class RepeatedPtrFieldBase
{
      public:
	RepeatedPtrFieldBase() : elements_(NULL), current_size_(0), allocated_size_(0), total_size_(0)
	{
	}
	NOINLINE void Reserve(int n)
	{
		void **old = elements_;

		if (n <= total_size_)
			return;
		total_size_ = n > 2 * total_size_ ? n : 2 * total_size_;
		elements_ = new void *[total_size_];
		if (old)
			memcpy(elements_, old, allocated_size_ * sizeof(*old));
		delete[] old;
	}
	void **elements_;
	int current_size_;
	int allocated_size_;
	int total_size_;
};
} // namespace internal
template <typename Element> class RepeatedPtrField : public internal::RepeatedPtrFieldBase
{
      public:
	~RepeatedPtrField()
	{
		for (int i = 0; i < allocated_size_; i++)
			delete static_cast<Element *>(elements_[i]);
		delete[] elements_;
	}
	Element *Add() // an element that was there before is used again
	{
		if (current_size_ < allocated_size_)
			return static_cast<Element *>(elements_[current_size_++]);
		if (allocated_size_ == total_size_)
			Reserve(total_size_ + 1);
		++allocated_size_;
		return static_cast<Element *>(elements_[current_size_++] = new Element);
	}
	void Clear()
	{
		for (int i = 0; i < current_size_; i++)
			static_cast<Element *>(elements_[i])->Clear();
		current_size_ = 0;
	}
	void RemoveLast()
	{
		static_cast<Element *>(elements_[--current_size_])->Clear();
	}
};
} // namespace protobuf
} // namespace google

using google::protobuf::internal::kEmptyString;

namespace old
{
enum Status { NEW = 1, GOOD = 2, GONE = 5 };

class Perf : public ::google::protobuf::Message
{
      public:
	Perf();
	virtual ~Perf();
	void Clear();
	void SharedCtor();
	void SharedDtor();
	void MergeFrom(const Perf &from);
	static const int kIopsFieldNumber = 1;
	inline bool has_iops() const
	{
		return (_has_bits_[0] & 1u) != 0;
	}
	inline void set_iops(uint64_t v)
	{
		_has_bits_[0] |= 1u;
		iops_ = v;
	}
	inline void clear_iops()
	{
		iops_ = 0;
		_has_bits_[0] &= ~1u;
	}
	::google::protobuf::UnknownFieldSet _unknown_fields_;
	uint64_t iops_;
	mutable int _cached_size_;
	uint32_t _has_bits_[1];
	static Perf *default_instance_;
};

class Chunk : public ::google::protobuf::Message
{
      public:
	Chunk();
	Chunk(const Chunk &from);
	virtual ~Chunk();
	Chunk &operator=(const Chunk &from)
	{
		CopyFrom(from);
		return *this;
	}
	void Clear();
	void SharedCtor();
	void SharedDtor();
	void MergeFrom(const Chunk &from);
	void CopyFrom(const Chunk &from);
	void Swap(Chunk *other);
	bool MergePartialFromCodedStream(const char *input, size_t len);
	Status status() const
	{
		return static_cast<Status>(status_);
	}
	static const int kIdFieldNumber = 1;
	static const int kPortFieldNumber = 2;
	static const int kNameFieldNumber = 3;
	static const int kReadPerfFieldNumber = 4;
	static const int kStatusFieldNumber = 5;
	static const int kReadyFieldNumber = 6;
	static const int kSamplesFieldNumber = 7;
	static const int kDateFieldNumber = 8;
#define SCALAR(name, type, bit)                                                                                                             \
	inline void set_##name(type v)                                                                                                      \
	{                                                                                                                                   \
		_has_bits_[0] |= 1u << bit;                                                                                                 \
		name##_ = v;                                                                                                                \
	}                                                                                                                                   \
	inline void clear_##name()                                                                                                          \
	{                                                                                                                                   \
		name##_ = 0;                                                                                                                \
		_has_bits_[0] &= ~(1u << bit);                                                                                              \
	}
	SCALAR(id, uint32_t, 0)
	SCALAR(port, uint32_t, 1)
	SCALAR(ready, bool, 5)
	SCALAR(date, uint64_t, 7)
	inline void set_status(Status v)
	{
		_has_bits_[0] |= 1u << 4;
		status_ = v;
	}
	inline void set_name(const char *v)
	{
		_has_bits_[0] |= 1u << 2;
		if (name_ == &kEmptyString)
			name_ = new std::string;
		name_->assign(v);
	}
	inline std::string *release_name()
	{
		_has_bits_[0] &= ~(1u << 2);
		if (name_ == &kEmptyString)
			return NULL;
		std::string *v = name_;
		name_ = const_cast<std::string *>(&kEmptyString);
		return v;
	}
	inline Perf *mutable_read_perf()
	{
		_has_bits_[0] |= 1u << 3;
		if (read_perf_ == NULL)
			read_perf_ = new Perf;
		return read_perf_;
	}
	inline Perf *release_read_perf()
	{
		_has_bits_[0] &= ~(1u << 3);
		Perf *v = read_perf_;
		read_perf_ = NULL;
		return v;
	}
	inline void set_allocated_read_perf(Perf *v)
	{
		delete read_perf_;
		read_perf_ = v;
		if (v)
			_has_bits_[0] |= 1u << 3;
		else
			_has_bits_[0] &= ~(1u << 3);
	}
	inline Perf *add_samples()
	{
		return samples_.Add();
	}
	::google::protobuf::UnknownFieldSet _unknown_fields_;
	uint32_t id_;
	uint32_t port_;
	std::string *name_;
	Perf *read_perf_;
	int status_;
	bool ready_;
	::google::protobuf::RepeatedPtrField<old::Perf> samples_;
	uint64_t date_;
	mutable int _cached_size_;
	uint32_t _has_bits_[(8 + 31) / 32];
	static Chunk *default_instance_;
};

Perf *Perf::default_instance_;
Chunk *Chunk::default_instance_;

Perf::Perf()
{
	SharedCtor();
}
Perf::~Perf()
{
	SharedDtor();
}
NOINLINE void Perf::SharedCtor()
{
	_unknown_fields_.fields_ = NULL;
	_cached_size_ = 0;
	iops_ = 0;
	memset(_has_bits_, 0, sizeof(_has_bits_));
}
NOINLINE void Perf::SharedDtor()
{
	asm volatile("" : : "r"(this) : "memory");
}
void Perf::Clear()
{
	if (_has_bits_[0] & 1u)
		iops_ = 0;
	memset(_has_bits_, 0, sizeof(_has_bits_));
}
NOINLINE void Perf::MergeFrom(const Perf &from)
{
	if (from.has_iops())
		set_iops(from.iops_);
}

Chunk::Chunk()
{
	SharedCtor();
}
Chunk::Chunk(const Chunk &from) : ::google::protobuf::Message()
{
	SharedCtor();
	MergeFrom(from);
}
Chunk::~Chunk()
{
	SharedDtor();
}
NOINLINE void Chunk::SharedCtor()
{
	_unknown_fields_.fields_ = NULL;
	_cached_size_ = 0;
	id_ = port_ = 0;
	name_ = const_cast<std::string *>(&kEmptyString);
	read_perf_ = NULL;
	status_ = NEW;
	ready_ = false;
	date_ = 0;
	memset(_has_bits_, 0, sizeof(_has_bits_));
}
NOINLINE void Chunk::SharedDtor()
{
	if (name_ != &kEmptyString)
		delete name_;
	if (this != default_instance_)
		delete read_perf_;
}
// The sub-message stays, cleared, with its has-bit clear; so do the string and the elements.
NOINLINE void Chunk::Clear()
{
	if (_has_bits_[0] & 0xffu) {
		id_ = port_ = 0;
		if ((_has_bits_[0] & 4u) && name_ != &kEmptyString)
			name_->clear();
		if ((_has_bits_[0] & 8u) && read_perf_ != NULL)
			read_perf_->Clear();
		status_ = NEW;
		ready_ = false;
		date_ = 0;
	}
	samples_.Clear();
	memset(_has_bits_, 0, sizeof(_has_bits_));
}
NOINLINE void Chunk::MergeFrom(const Chunk &from)
{
	for (int i = 0; i < from.samples_.current_size_; i++)
		add_samples()->MergeFrom(*static_cast<Perf *>(from.samples_.elements_[i]));
	if (from._has_bits_[0] & 1u)
		set_id(from.id_);
	if (from._has_bits_[0] & 2u)
		set_port(from.port_);
	if (from._has_bits_[0] & 4u)
		set_name(from.name_->c_str());
	if (from._has_bits_[0] & 8u)
		mutable_read_perf()->MergeFrom(*from.read_perf_);
	if (from._has_bits_[0] & 16u)
		set_status(from.status());
	if (from._has_bits_[0] & 32u)
		set_ready(from.ready_);
	if (from._has_bits_[0] & 128u)
		set_date(from.date_);
}
NOINLINE void Chunk::CopyFrom(const Chunk &from)
{
	if (&from == this)
		return;
	Clear();
	MergeFrom(from);
}
template <typename T> void exchange(T &a, T &b)
{
	T t = a;

	a = b;
	b = t;
}
NOINLINE void Chunk::Swap(Chunk *o)
{
	if (o == this)
		return;
	exchange(id_, o->id_);
	exchange(port_, o->port_);
	exchange(name_, o->name_);
	exchange(read_perf_, o->read_perf_);
	exchange(status_, o->status_);
	exchange(ready_, o->ready_);
	exchange(date_, o->date_);
	exchange(samples_.elements_, o->samples_.elements_);
	exchange(samples_.current_size_, o->samples_.current_size_);
	exchange(samples_.allocated_size_, o->samples_.allocated_size_);
	exchange(samples_.total_size_, o->samples_.total_size_);
	exchange(_has_bits_[0], o->_has_bits_[0]);
	exchange(_cached_size_, o->_cached_size_);
}
NOINLINE bool Chunk::MergePartialFromCodedStream(const char *input, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		set_id(static_cast<uint32_t>(input[i]));
		set_name(input);
		add_samples()->set_iops(i);
		mutable_read_perf()->set_iops(i);
	}
	return true;
}
} // namespace old
