// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernels/vulkan/recording.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <optional>

#include "kernels/vulkan/device_state.h"

namespace bitloom::vulkan {
namespace {

constexpr uint32_t kSetsOfPool = 128;
constexpr uint32_t kTimesOfPool = 128;   // kernels, each with a begin and an end
constexpr double kLearningShare = 0.25;  // of a new speed in the kept one
constexpr VkPipelineStageFlags kWork =
    VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;

// Bytes of one large allocation.
struct Range {
  size_t piece;
  uint64_t begin;
  uint64_t end;
  bool written;
  bool meets(const Range& other) const {
    return piece == other.piece && begin < other.end && other.begin < end &&
           (written || other.written);
  }
};

// Clocks of some kernels of a recording, in the order of dispatches.
struct Clocks {
  VkQueryPool pool = VK_NULL_HANDLE;
  std::vector<std::string> shaders;
};

struct Submission {
  VkCommandBuffer commands = VK_NULL_HANDLE;
  double work = 0;
};

}  // namespace

struct Recording::State {
  Device& device;
  Device::State& at;
  std::vector<VkDescriptorPool> pools;
  uint32_t setsLeft = 0;  // in the last pool
  std::vector<Submission> submissions;
  std::vector<Clocks> clocks;
  std::deque<Buffer> ofHost;   // of inputs and outputs
  bool open = false;           // the last submission takes commands
  std::vector<Range> touched;  // since the last barrier

  explicit State(Device& target) : device(target), at(target.state()) {}

  Result<VkCommandBuffer> commands(double work);
  Result<VkDescriptorSet> descriptors(const Dispatch& dispatch);
  Result<void> close();
  void order(VkCommandBuffer commands, const std::vector<Range>& ranges);
  void barrier(VkCommandBuffer commands);
  Result<void> beginTime(VkCommandBuffer commands, std::string_view shader);
  void endTime(VkCommandBuffer commands);
  Result<void> readTimes();
  Range rangeOf(const Buffer& buffer, uint64_t offset, uint64_t bytes, bool written) const {
    const uint64_t begin = buffer.m_offset + offset;
    return {buffer.m_piece, begin, begin + bytes, written};
  }
};

void Recording::State::barrier(VkCommandBuffer commands) {
  constexpr VkAccessFlags kReads = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT;
  constexpr VkAccessFlags kWrites = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
  const VkMemoryBarrier all{.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                            .srcAccessMask = kWrites,
                            .dstAccessMask = kReads | kWrites};
  at.api.vkCmdPipelineBarrier(commands, kWork, kWork, 0, 1, &all, 0, nullptr, 0, nullptr);
  touched.clear();
}

// A barrier when one of the ranges meets one that was touched since the last.
void Recording::State::order(VkCommandBuffer commands, const std::vector<Range>& ranges) {
  const bool meets = std::any_of(ranges.begin(), ranges.end(), [&](const Range& range) {
    return std::any_of(touched.begin(), touched.end(),
                       [&](const Range& before) { return before.meets(range); });
  });
  if (meets) barrier(commands);
  touched.insert(touched.end(), ranges.begin(), ranges.end());
}

Result<void> Recording::State::beginTime(VkCommandBuffer commands, std::string_view shader) {
  if (clocks.empty() || clocks.back().shaders.size() == kTimesOfPool) {
    const VkQueryPoolCreateInfo info{.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                     .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                     .queryCount = 2 * kTimesOfPool};
    VkQueryPool pool = VK_NULL_HANDLE;
    const VkResult result = at.api.vkCreateQueryPool(at.device, &info, nullptr, &pool);
    if (result != VK_SUCCESS) return at.failed(result, "its clock");
    at.api.vkCmdResetQueryPool(commands, pool, 0, 2 * kTimesOfPool);
    clocks.push_back({pool, {}});
  }
  barrier(commands);  // one kernel at a time
  at.api.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, clocks.back().pool,
                             2 * uint32_t(clocks.back().shaders.size()));
  clocks.back().shaders.emplace_back(shader);
  return {};
}

void Recording::State::endTime(VkCommandBuffer commands) {
  at.api.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, clocks.back().pool,
                             2 * uint32_t(clocks.back().shaders.size()) - 1);
}

Result<void> Recording::State::readTimes() {
  for (const Clocks& each : clocks) {
    std::vector<uint64_t> ticks(2 * each.shaders.size());
    const VkResult result = at.api.vkGetQueryPoolResults(
        at.device, each.pool, 0, uint32_t(ticks.size()), ticks.size() * sizeof(uint64_t),
        ticks.data(), sizeof(uint64_t), VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
    if (result != VK_SUCCESS) return at.failed(result, "reading its clock");
    for (size_t i = 0; i < each.shaders.size(); ++i) {
      KernelTime& time = at.times[each.shaders[i]];
      time.shader = each.shaders[i];
      ++time.runs;
      time.seconds += double(ticks[2 * i + 1] - ticks[2 * i]) * at.tickSeconds;
    }
  }
  return {};
}

Result<void> Recording::State::close() {
  if (!open) return {};
  open = false;
  const VkMemoryBarrier toHost{
      .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
      .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
      .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
  VkCommandBuffer last = submissions.back().commands;
  at.api.vkCmdPipelineBarrier(last, kWork, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &toHost, 0, nullptr, 0,
                              nullptr);
  const VkResult result = at.api.vkEndCommandBuffer(last);
  if (result != VK_SUCCESS) return at.failed(result, "recording");
  return {};
}

// The commands that take the next `work`: a new submission when the last is full.
Result<VkCommandBuffer> Recording::State::commands(double work) {
  const double most = device.submissionWork();
  if (open && submissions.back().work > 0 && submissions.back().work + work > most) {
    TRY(close());
  }
  if (!open) {
    const VkCommandBufferAllocateInfo allocation{
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = at.commands,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1};
    VkCommandBuffer next = VK_NULL_HANDLE;
    VkResult result = at.api.vkAllocateCommandBuffers(at.device, &allocation, &next);
    if (result != VK_SUCCESS) return at.failed(result, "recording");
    submissions.push_back({next, 0});
    const VkCommandBufferBeginInfo begin{.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    result = at.api.vkBeginCommandBuffer(next, &begin);
    if (result != VK_SUCCESS) return at.failed(result, "recording");
    open = true;
    barrier(next);
  }
  submissions.back().work += work;
  return submissions.back().commands;
}

Result<VkDescriptorSet> Recording::State::descriptors(const Dispatch& dispatch) {
  if (setsLeft == 0) {
    const VkDescriptorPoolSize size{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                    kSetsOfPool * uint32_t(kBindings)};
    const VkDescriptorPoolCreateInfo info{.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                          .maxSets = kSetsOfPool,
                                          .poolSizeCount = 1,
                                          .pPoolSizes = &size};
    VkDescriptorPool pool = VK_NULL_HANDLE;
    const VkResult result = at.api.vkCreateDescriptorPool(at.device, &info, nullptr, &pool);
    if (result != VK_SUCCESS) return at.failed(result, "recording");
    pools.push_back(pool);
    setsLeft = kSetsOfPool;
  }
  const VkDescriptorSetAllocateInfo info{.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                         .descriptorPool = pools.back(),
                                         .descriptorSetCount = 1,
                                         .pSetLayouts = &at.setLayout};
  VkDescriptorSet set = VK_NULL_HANDLE;
  const VkResult result = at.api.vkAllocateDescriptorSets(at.device, &info, &set);
  if (result != VK_SUCCESS) return at.failed(result, "recording");
  --setsLeft;
  std::array<VkDescriptorBufferInfo, kBindings> ranges;
  std::vector<VkWriteDescriptorSet> writes;
  for (uint32_t i = 0; i < dispatch.bindings.size(); ++i) {
    const Buffer* buffer = dispatch.bindings[i].buffer;
    if (buffer == nullptr) continue;
    ranges[i] = {at.pieces[buffer->m_piece].buffer, buffer->m_offset, buffer->m_bytes};
    writes.push_back({.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                      .dstSet = set,
                      .dstBinding = i,
                      .descriptorCount = 1,
                      .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                      .pBufferInfo = &ranges[i]});
  }
  at.api.vkUpdateDescriptorSets(at.device, uint32_t(writes.size()), writes.data(), 0, nullptr);
  return set;
}

Recording::Recording(Device& device) : m_state(std::make_unique<State>(device)) {}
Recording::Recording(Recording&&) noexcept = default;

Recording& Recording::operator=(Recording&& other) noexcept {
  std::swap(m_state, other.m_state);
  return *this;
}

Recording::~Recording() {
  if (!m_state) return;
  Device::State& at = m_state->at;
  // A run that was cut short may still be on the device.
  if (!at.lost) (void)at.waitFor(at.submitted);
  for (VkDescriptorPool pool : m_state->pools) {
    at.api.vkDestroyDescriptorPool(at.device, pool, nullptr);
  }
  for (const Clocks& each : m_state->clocks) {
    at.api.vkDestroyQueryPool(at.device, each.pool, nullptr);
  }
  for (const Submission& each : m_state->submissions) {
    at.api.vkFreeCommandBuffers(at.device, at.commands, 1, &each.commands);
  }
}

Result<void> Recording::add(const Dispatch& dispatch) {
  CHECK(dispatch.bindings.size() <= kBindings && dispatch.push.size() <= kPushBytes);
  for (const uint32_t groups : dispatch.groups) CHECK(groups <= kMostGroups);
  State& state = *m_state;
  TRY(VkPipeline pipeline, state.at.pipeline(dispatch.shader, dispatch.constants));
  TRY(VkDescriptorSet set, state.descriptors(dispatch));
  TRY(VkCommandBuffer commands, state.commands(dispatch.work));
  std::vector<Range> ranges;
  for (const Binding& binding : dispatch.bindings) {
    if (binding.buffer == nullptr) continue;
    ranges.push_back(state.rangeOf(*binding.buffer, 0, binding.buffer->m_bytes, binding.written));
  }
  state.order(commands, ranges);
  if (state.at.timed) {
    TRY(state.beginTime(commands, dispatch.shader));
  }
  const VolkDeviceTable& api = state.at.api;
  api.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
  api.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, state.at.pipelineLayout, 0,
                              1, &set, 0, nullptr);
  if (!dispatch.push.empty()) {
    api.vkCmdPushConstants(commands, state.at.pipelineLayout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                           uint32_t(dispatch.push.size()), dispatch.push.data());
  }
  api.vkCmdDispatch(commands, dispatch.groups[0], dispatch.groups[1], dispatch.groups[2]);
  if (state.at.timed) state.endTime(commands);
  return {};
}

Result<void> Recording::copy(const Buffer& from, uint64_t fromOffset, const Buffer& to,
                             uint64_t toOffset, uint64_t bytes) {
  CHECK(fromOffset + bytes <= from.m_bytes && toOffset + bytes <= to.m_bytes);
  State& state = *m_state;
  TRY(VkCommandBuffer commands, state.commands(0));
  state.order(commands, {state.rangeOf(from, fromOffset, bytes, false),
                         state.rangeOf(to, toOffset, bytes, true)});
  const VkBufferCopy region{from.m_offset + fromOffset, to.m_offset + toOffset, bytes};
  state.at.api.vkCmdCopyBuffer(commands, state.at.pieces[from.m_piece].buffer,
                               state.at.pieces[to.m_piece].buffer, 1, &region);
  return {};
}

Result<std::byte*> Recording::input(const Buffer& to) {
  State& state = *m_state;
  if (std::byte* const mapped = state.at.mapped(to)) return mapped;
  TRY(Buffer buffer, state.device.cut(to.m_bytes, true));
  const Buffer& from = state.ofHost.emplace_back(std::move(buffer));
  TRY(copy(from, 0, to, 0, to.m_bytes));
  return state.at.mapped(from);
}

Result<const std::byte*> Recording::output(const Buffer& from) {
  State& state = *m_state;
  if (const std::byte* const mapped = state.at.mapped(from)) return mapped;
  TRY(Buffer buffer, state.device.cut(from.m_bytes, true));
  const Buffer& to = state.ofHost.emplace_back(std::move(buffer));
  TRY(copy(from, 0, to, 0, from.m_bytes));
  return static_cast<const std::byte*>(state.at.mapped(to));
}

Result<void> Recording::run(const Checkpoint& checkpoint) {
  State& state = *m_state;
  Device::State& at = state.at;
  if (at.lost) return at.failed(VK_ERROR_DEVICE_LOST, "computing");
  TRY(state.close());
  using Clock = std::chrono::steady_clock;
  uint64_t before = at.submitted;
  double work = 0;
  const auto begin = Clock::now();
  for (const Submission& each : state.submissions) {
    if (checkpoint) TRY(checkpoint());
    TRY(const uint64_t number, at.submit(each.commands));
    // One computes while the next is handed over.
    TRY(at.waitFor(before));
    before = number;
    work += each.work;
  }
  TRY(at.waitFor(before));
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  if (work > 0 && seconds > 1e-3) {
    at.workPerSecond += kLearningShare * (work / seconds - at.workPerSecond);
  }
  return state.readTimes();
}

}  // namespace bitloom::vulkan
