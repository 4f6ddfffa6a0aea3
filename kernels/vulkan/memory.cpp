// SPDX-License-Identifier: GPL-3.0-or-later
// A device's memory. What the host can reach directly (one memory for both, as in integrated and
// software devices) is written in place; other memory through two staging buffers in turn.
#include <algorithm>
#include <cstring>

#include "kernels/vulkan/device_state.h"

namespace bitloom::vulkan {
namespace {

constexpr uint64_t kPieceBytes = uint64_t{256} << 20;
constexpr uint64_t kHostPieceBytes = uint64_t{16} << 20;
constexpr uint64_t kStagingBytes = uint64_t{4} << 20;  // each of two halves
constexpr VkMemoryPropertyFlags kHost =
    VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;

uint64_t roundUp(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }

}  // namespace

int Device::State::memoryType(uint32_t allowed, VkMemoryPropertyFlags wanted) const {
  for (uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
    const bool has = (memory.memoryTypes[i].propertyFlags & wanted) == wanted;
    if ((allowed >> i & 1) && has) return int(i);
  }
  return -1;
}

bool Device::State::isShared() const {
  const bool one = info.kind == DeviceKind::Integrated || info.kind == DeviceKind::Cpu;
  return one && !asGpu;
}

// Memory of the device's own, the host's as well where that is one memory; or of the host's.
Result<size_t> Device::State::addPiece(uint64_t bytes, bool ofHost) {
  Piece piece{.ofHost = ofHost};
  const VkBufferCreateInfo buffer{.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                  .size = bytes,
                                  .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                           VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                           VK_BUFFER_USAGE_TRANSFER_DST_BIT};
  VkResult result = api.vkCreateBuffer(device, &buffer, nullptr, &piece.buffer);
  if (result != VK_SUCCESS) return failed(result, "a buffer");
  VkMemoryRequirements needs;
  api.vkGetBufferMemoryRequirements(device, piece.buffer, &needs);
  int type = -1;
  if (ofHost) {
    type = memoryType(needs.memoryTypeBits, kHost | VK_MEMORY_PROPERTY_HOST_CACHED_BIT);
    if (type < 0) type = memoryType(needs.memoryTypeBits, kHost);
  } else if (isShared()) {
    type = memoryType(needs.memoryTypeBits, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | kHost);
  }
  const bool reached = type >= 0;
  if (type < 0) type = memoryType(needs.memoryTypeBits, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
  const VkMemoryAllocateInfo allocation{.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                        .allocationSize = needs.size,
                                        .memoryTypeIndex = uint32_t(std::max(type, 0))};
  result = api.vkAllocateMemory(device, &allocation, nullptr, &piece.memory);
  if (result == VK_SUCCESS) {
    result = api.vkBindBufferMemory(device, piece.buffer, piece.memory, 0);
  }
  void* address = nullptr;
  if (result == VK_SUCCESS && reached) {
    result = api.vkMapMemory(device, piece.memory, 0, VK_WHOLE_SIZE, 0, &address);
  }
  if (result != VK_SUCCESS) {
    api.vkDestroyBuffer(device, piece.buffer, nullptr);
    api.vkFreeMemory(device, piece.memory, nullptr);
    return failed(result, "buffers of " + std::to_string(bytes) + " bytes");
  }
  piece.mapped = static_cast<std::byte*>(address);
  piece.ranges = FreeRanges(bytes);
  const auto empty = std::find_if(pieces.begin(), pieces.end(),
                                  [](const Piece& each) { return each.buffer == VK_NULL_HANDLE; });
  const size_t place = size_t(empty - pieces.begin());
  if (empty == pieces.end()) pieces.emplace_back();
  pieces[place] = std::move(piece);
  return place;
}

std::byte* Device::State::mapped(const Buffer& buffer) const {
  std::byte* const start = pieces[buffer.m_piece].mapped;
  return start == nullptr ? nullptr : start + buffer.m_offset;
}

Result<void> Device::makeStaging() {
  for (Staging& half : m_state->staging) {
    if (half.buffer.bytes() > 0) continue;
    TRY(half.buffer, cut(kStagingBytes, true));
  }
  return {};
}

// At most kStagingBytes, which a half of the staging memory holds or takes. Does not wait.
Result<void> Device::State::transferSlice(Staging& half, const Buffer& buffer, uint64_t offset,
                                          uint64_t bytes, bool toDevice) {
  const VkCommandBufferBeginInfo begin{.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                       .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
  VkResult result = api.vkBeginCommandBuffer(half.commands, &begin);
  if (result != VK_SUCCESS) return failed(result, "a transfer");
  const VkMemoryBarrier before{
      .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
      .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
      .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};
  constexpr VkPipelineStageFlags kWork =
      VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
  api.vkCmdPipelineBarrier(half.commands, kWork, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &before, 0,
                           nullptr, 0, nullptr);
  const VkBuffer there = pieces[buffer.m_piece].buffer;
  const VkBuffer here = pieces[half.buffer.m_piece].buffer;
  const uint64_t at = buffer.m_offset + offset;
  const VkBufferCopy region{toDevice ? half.buffer.m_offset : at,
                            toDevice ? at : half.buffer.m_offset, bytes};
  api.vkCmdCopyBuffer(half.commands, toDevice ? here : there, toDevice ? there : here, 1, &region);
  const VkMemoryBarrier after{.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                              .dstAccessMask = toDevice ? VkAccessFlags(VK_ACCESS_SHADER_READ_BIT)
                                                        : VkAccessFlags(VK_ACCESS_HOST_READ_BIT)};
  api.vkCmdPipelineBarrier(
      half.commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
      toDevice ? VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT : VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &after, 0,
      nullptr, 0, nullptr);
  result = api.vkEndCommandBuffer(half.commands);
  if (result != VK_SUCCESS) return failed(result, "a transfer");
  TRY(half.submission, submit(half.commands));
  return {};
}

Buffer::Buffer(Buffer&& other) noexcept { *this = std::move(other); }

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(m_device, other.m_device);
  std::swap(m_piece, other.m_piece);
  std::swap(m_offset, other.m_offset);
  std::swap(m_bytes, other.m_bytes);
  return *this;
}

Buffer::~Buffer() {
  if (m_device == nullptr) return;
  Device::State& state = m_device->state();
  const uint64_t bytes = roundUp(m_bytes, state.alignment);
  Piece& piece = state.pieces[m_piece];
  piece.ranges.give(m_offset, bytes);
  if (!piece.ofHost) state.used -= bytes;
  if (!piece.ranges.isAllFree() || state.lost) return;
  state.api.vkDestroyBuffer(state.device, piece.buffer, nullptr);
  state.api.vkFreeMemory(state.device, piece.memory, nullptr);
  piece = Piece();
}

uint64_t Device::usedBytes() const { return m_state->used; }
uint64_t Device::limitBytes() const { return m_state->limit; }

Result<Buffer> Device::allocate(uint64_t bytes) {
  State& state = *m_state;
  const uint64_t rounded = roundUp(std::max<uint64_t>(bytes, 4), state.alignment);
  if (bytes > state.info.storageRange || state.used + rounded > state.limit) {
    return Error{ErrorCode::OutOfMemory, state.info.name + " has no room for another " +
                                             std::to_string(bytes) + " bytes; " +
                                             std::to_string(state.used) + " of " +
                                             std::to_string(state.limit) + " are taken."};
  }
  TRY(Buffer buffer, cut(bytes, false));
  state.used += rounded;
  return buffer;
}

Result<Buffer> Device::cut(uint64_t bytes, bool ofHost) {
  State& state = *m_state;
  const uint64_t rounded = roundUp(std::max<uint64_t>(bytes, 4), state.alignment);
  std::optional<uint64_t> offset;
  size_t place = 0;
  for (; place < state.pieces.size(); ++place) {
    if (state.pieces[place].ofHost != ofHost) continue;
    offset = state.pieces[place].ranges.take(rounded);
    if (offset) break;
  }
  if (!offset) {
    const uint64_t usual =
        ofHost ? kHostPieceBytes : std::min(kPieceBytes, state.info.memoryBytes / 8);
    auto added = state.addPiece(std::max(rounded, roundUp(usual, state.alignment)), ofHost);
    if (!added && !state.lost) added = state.addPiece(rounded, ofHost);
    TRY(place, std::move(added));
    offset = state.pieces[place].ranges.take(rounded);
  }
  Buffer buffer;
  buffer.m_device = this;
  buffer.m_piece = place;
  buffer.m_offset = *offset;
  buffer.m_bytes = std::max<uint64_t>(bytes, 4);
  return buffer;
}

Result<Buffer> Device::put(const void* from, uint64_t bytes) {
  TRY(Buffer buffer, allocate(bytes));
  TRY(write(buffer, 0, from, bytes));
  return buffer;
}

Result<void> Device::write(const Buffer& to, uint64_t offset, const void* from, uint64_t bytes) {
  CHECK(offset + bytes <= to.m_bytes);
  State& state = *m_state;
  if (state.lost) return state.failed(VK_ERROR_DEVICE_LOST, "a transfer");
  TRY(wait());
  if (std::byte* mapped = state.mapped(to)) {
    std::memcpy(mapped + offset, from, bytes);
    return {};
  }
  TRY(makeStaging());
  const auto* source = static_cast<const std::byte*>(from);
  size_t turn = 0;
  for (uint64_t first = 0; first < bytes; first += kStagingBytes) {
    const uint64_t count = std::min(kStagingBytes, bytes - first);
    Staging& half = state.staging[turn++ % 2];
    TRY(state.waitFor(half.submission));
    std::memcpy(state.mapped(half.buffer), source + first, count);
    TRY(state.transferSlice(half, to, offset + first, count, true));
  }
  return wait();
}

Result<void> Device::read(const Buffer& from, uint64_t offset, void* to, uint64_t bytes) {
  CHECK(offset + bytes <= from.m_bytes);
  State& state = *m_state;
  if (state.lost) return state.failed(VK_ERROR_DEVICE_LOST, "a transfer");
  TRY(wait());
  if (const std::byte* mapped = state.mapped(from)) {
    std::memcpy(to, mapped + offset, bytes);
    return {};
  }
  TRY(makeStaging());
  auto* target = static_cast<std::byte*>(to);
  // The next part is fetched while this one is taken.
  const auto fetch = [&](uint64_t first) -> Result<void> {
    if (first >= bytes) return {};
    Staging& half = state.staging[first / kStagingBytes % 2];
    return state.transferSlice(half, from, offset + first, std::min(kStagingBytes, bytes - first),
                               false);
  };
  TRY(fetch(0));
  for (uint64_t first = 0; first < bytes; first += kStagingBytes) {
    TRY(fetch(first + kStagingBytes));
    const Staging& half = state.staging[first / kStagingBytes % 2];
    TRY(state.waitFor(half.submission));
    std::memcpy(target + first, state.mapped(half.buffer), std::min(kStagingBytes, bytes - first));
  }
  return {};
}

}  // namespace bitloom::vulkan
