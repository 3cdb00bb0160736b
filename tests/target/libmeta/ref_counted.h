// Intrusive reference counts and the one-pointer smart pointer that goes with them.
#pragma once

#include <utility>

namespace zbs
{

namespace subtle
{

// A plain int, as in the incident's gdb output, counted with atomic instructions when several threads share
// the object.
template <bool kThreadSafe> class RefCountedBase
{
      protected:
	void AddRefImpl()
	{
		if (kThreadSafe)
			__atomic_add_fetch(&ref_count_, 1, __ATOMIC_RELAXED);
		else
			ref_count_++;
	}

	// True when that was the last reference.
	bool ReleaseImpl()
	{
		if (kThreadSafe)
			return __atomic_sub_fetch(&ref_count_, 1, __ATOMIC_ACQ_REL) == 0;
		return --ref_count_ == 0;
	}

      private:
	int ref_count_ = 0;
};

} // namespace subtle

template <typename T, bool kThreadSafe = true> class RefCounted : public subtle::RefCountedBase<kThreadSafe>
{
      public:
	void AddRef()
	{
		this->AddRefImpl();
	}

	void Release()
	{
		if (this->ReleaseImpl())
			delete static_cast<T *>(this);
	}
};

template <typename T> class RefPtr
{
      public:
	RefPtr() = default;

	explicit RefPtr(T *object) : ptr_(object)
	{
		if (ptr_)
			ptr_->AddRef();
	}

	RefPtr(const RefPtr &other) : RefPtr(other.ptr_)
	{
	}

	RefPtr(RefPtr &&other) noexcept : ptr_(std::exchange(other.ptr_, nullptr))
	{
	}

	RefPtr &operator=(RefPtr other)
	{
		std::swap(ptr_, other.ptr_);
		return *this;
	}

	~RefPtr()
	{
		if (ptr_)
			ptr_->Release();
	}

	T *get() const
	{
		return ptr_;
	}

	T *operator->() const
	{
		return ptr_;
	}

	explicit operator bool() const
	{
		return ptr_ != nullptr;
	}

      private:
	T *ptr_ = nullptr;
};

} // namespace zbs
