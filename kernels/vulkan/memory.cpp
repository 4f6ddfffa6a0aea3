// SPDX-License-Identifier: GPL-3.0-or-later
// A device's memory. What the host can reach directly (one memory for both, as in integrated and
// software devices) is written in place; other memory through a staging buffer.
#include <algorithm>
#include <cstring>

#include "kernels/vulkan/device_state.h"

namespace bitloom::vulkan {
namespace {

constexpr uint64_t kPieceBytes = uint64_t{256} << 20;
constexpr uint64_t kStagingBytes = uint64_t{8} << 20;
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

// Memory of the device's own, and the host's as well where that is one memory.
Result<size_t> Device::State::addPiece(uint64_t bytes) {
  Piece piece;
  const VkBufferCreateInfo buffer{.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                  .size = bytes,
                                  .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                           VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                           VK_BUFFER_USAGE_TRANSFER_DST_BIT};
  VkResult result = api.vkCreateBuffer(device, &buffer, nullptr, &piece.buffer);
  if (result != VK_SUCCESS) return failed(result, "a buffer");
  VkMemoryRequirements needs;
  api.vkGetBufferMemoryRequirements(device, piece.buffer, &needs);
  const bool shared = info.kind == DeviceKind::Integrated || info.kind == DeviceKind::Cpu;
  int type =
      shared ? memoryType(needs.memoryTypeBits, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | kHost) : -1;
  const bool mapped = type >= 0;
  if (type < 0) type = memoryType(needs.memoryTypeBits, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
  const VkMemoryAllocateInfo allocation{.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                        .allocationSize = needs.size,
                                        .memoryTypeIndex = uint32_t(std::max(type, 0))};
  result = api.vkAllocateMemory(device, &allocation, nullptr, &piece.memory);
  if (result == VK_SUCCESS) {
    result = api.vkBindBufferMemory(device, piece.buffer, piece.memory, 0);
  }
  void* address = nullptr;
  if (result == VK_SUCCESS && mapped) {
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

Result<void> Device::State::makeStaging() {
  if (staging.mapped != nullptr) return {};
  const VkBufferCreateInfo buffer{
      .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
      .size = kStagingBytes,
      .usage = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT};
  VkResult result = api.vkCreateBuffer(device, &buffer, nullptr, &staging.buffer);
  if (result != VK_SUCCESS) return failed(result, "staging");
  VkMemoryRequirements needs;
  api.vkGetBufferMemoryRequirements(device, staging.buffer, &needs);
  int type = memoryType(needs.memoryTypeBits, kHost | VK_MEMORY_PROPERTY_HOST_CACHED_BIT);
  if (type < 0) type = memoryType(needs.memoryTypeBits, kHost);
  const VkMemoryAllocateInfo allocation{.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                        .allocationSize = needs.size,
                                        .memoryTypeIndex = uint32_t(std::max(type, 0))};
  result = api.vkAllocateMemory(device, &allocation, nullptr, &staging.memory);
  if (result == VK_SUCCESS) {
    result = api.vkBindBufferMemory(device, staging.buffer, staging.memory, 0);
  }
  void* address = nullptr;
  if (result == VK_SUCCESS) {
    result = api.vkMapMemory(device, staging.memory, 0, VK_WHOLE_SIZE, 0, &address);
  }
  if (result != VK_SUCCESS) return failed(result, "staging");
  staging.mapped = static_cast<std::byte*>(address);
  return {};
}

// At most kStagingBytes through the staging buffer.
Result<void> Device::State::transferSlice(const Buffer& buffer, uint64_t offset, uint64_t bytes,
                                          bool toDevice) {
  const Piece& piece = pieces[buffer.m_piece];
  const VkCommandBufferBeginInfo begin{.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                       .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
  VkResult result = api.vkBeginCommandBuffer(transfer, &begin);
  if (result != VK_SUCCESS) return failed(result, "a transfer");
  const VkMemoryBarrier before{
      .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
      .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
      .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};
  constexpr VkPipelineStageFlags kWork =
      VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
  api.vkCmdPipelineBarrier(transfer, kWork, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &before, 0,
                           nullptr, 0, nullptr);
  const uint64_t at = buffer.m_offset + offset;
  const VkBufferCopy region{toDevice ? 0 : at, toDevice ? at : 0, bytes};
  api.vkCmdCopyBuffer(transfer, toDevice ? staging.buffer : piece.buffer,
                      toDevice ? piece.buffer : staging.buffer, 1, &region);
  const VkMemoryBarrier after{.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                              .dstAccessMask = toDevice ? VkAccessFlags(VK_ACCESS_SHADER_READ_BIT)
                                                        : VkAccessFlags(VK_ACCESS_HOST_READ_BIT)};
  api.vkCmdPipelineBarrier(
      transfer, VK_PIPELINE_STAGE_TRANSFER_BIT,
      toDevice ? VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT : VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &after, 0,
      nullptr, 0, nullptr);
  result = api.vkEndCommandBuffer(transfer);
  if (result != VK_SUCCESS) return failed(result, "a transfer");
  TRY(const uint64_t number, submit(transfer));
  return waitFor(number);
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
  state.used -= bytes;
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
  std::optional<uint64_t> offset;
  size_t place = 0;
  for (; place < state.pieces.size(); ++place) {
    offset = state.pieces[place].ranges.take(rounded);
    if (offset) break;
  }
  if (!offset) {
    const uint64_t usual = std::min(kPieceBytes, state.info.memoryBytes / 8);
    auto added = state.addPiece(std::max(rounded, roundUp(usual, state.alignment)));
    if (!added && !state.lost) added = state.addPiece(rounded);
    TRY(place, std::move(added));
    offset = state.pieces[place].ranges.take(rounded);
  }
  state.used += rounded;
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
  TRY(state.waitFor(state.submitted));
  if (std::byte* mapped = state.pieces[to.m_piece].mapped) {
    std::memcpy(mapped + to.m_offset + offset, from, bytes);
    return {};
  }
  TRY(state.makeStaging());
  const auto* source = static_cast<const std::byte*>(from);
  for (uint64_t first = 0; first < bytes; first += kStagingBytes) {
    const uint64_t count = std::min(kStagingBytes, bytes - first);
    std::memcpy(state.staging.mapped, source + first, count);
    TRY(state.transferSlice(to, offset + first, count, true));
  }
  return {};
}

Result<void> Device::read(const Buffer& from, uint64_t offset, void* to, uint64_t bytes) {
  CHECK(offset + bytes <= from.m_bytes);
  State& state = *m_state;
  if (state.lost) return state.failed(VK_ERROR_DEVICE_LOST, "a transfer");
  TRY(state.waitFor(state.submitted));
  if (const std::byte* mapped = state.pieces[from.m_piece].mapped) {
    std::memcpy(to, mapped + from.m_offset + offset, bytes);
    return {};
  }
  TRY(state.makeStaging());
  auto* target = static_cast<std::byte*>(to);
  for (uint64_t first = 0; first < bytes; first += kStagingBytes) {
    const uint64_t count = std::min(kStagingBytes, bytes - first);
    TRY(state.transferSlice(from, offset + first, count, false));
    std::memcpy(target + first, state.staging.mapped, count);
  }
  return {};
}

}  // namespace bitloom::vulkan
