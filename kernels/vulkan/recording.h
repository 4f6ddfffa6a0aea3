// SPDX-License-Identifier: GPL-3.0-or-later
// Work for a device, recorded once and run as often as wanted. A dispatch waits for those before it
// that touch what it touches, and for no others. The recording is cut into submissions of some
// 50 ms each, between which the caller is asked whether to go on.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "kernels/vulkan/device.h"

namespace bitloom::vulkan {

struct Binding {
  const Buffer* buffer = nullptr;  // null: the shader does not use this one
  bool written = false;
};

struct Dispatch {
  std::string_view shader;          // "gemv.q4_0"
  std::vector<uint32_t> constants;  // specialization constants 0, 1, …
  std::vector<Binding> bindings;    // of set 0, from 0 on; at most kBindings
  std::span<const std::byte> push;  // push constants, at most 128 bytes
  std::array<uint32_t, 3> groups = {1, 1, 1};
  double work = 0;  // multiply-adds, about
};

constexpr size_t kBindings = 6;
constexpr size_t kPushBytes = 128;
constexpr uint32_t kMostGroups = 65535;  // in a dimension, everywhere

class Recording {
 public:
  // Asked before each submission; an error ends the run with it.
  using Checkpoint = std::function<Result<void>()>;

  explicit Recording(Device& device);  // borrowed, as are all buffers
  ~Recording();
  Recording(Recording&&) noexcept;
  Recording& operator=(Recording&&) noexcept;

  Result<void> add(const Dispatch& dispatch);
  Result<void> copy(const Buffer& from, uint64_t fromOffset, const Buffer& to, uint64_t toOffset,
                    uint64_t bytes);

  // Where the host puts, before each run, what `to` holds when the run begins; the device must be
  // idle (Device::wait). To be called before what reads it is added. Where the host reaches the
  // device's memory this is that memory, else the run begins with a copy.
  Result<std::byte*> input(const Buffer& to);
  // Where the host finds, after each run, what `from` held when this was called.
  Result<const std::byte*> output(const Buffer& from);

  // Runs all of it and waits for the end. No more can be added from the first run on.
  Result<void> run(const Checkpoint& checkpoint = {});

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

template <typename T>
std::span<const std::byte> pushOf(const T& constants) {
  static_assert(sizeof(T) <= kPushBytes);
  return std::as_bytes(std::span(&constants, 1));
}

}  // namespace bitloom::vulkan
