// SPDX-License-Identifier: GPL-3.0-or-later
// Runs of a variant on its backend, for Forward. What is to be done is recorded once for each shape
// (blocks, rows, sequences, weights) and replayed; weights stay on the device. All arithmetic is in
// f32. When the device's memory is too short for the model, as many of the first blocks as fit are
// computed there.
#pragma once
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "core/inference/forward.h"
#include "core/variant.h"

namespace bitloom {

class DeviceForward {
 public:
  static constexpr size_t kMostTop = 64;

  // Null when the device can compute nothing of the variant; `note` says why, or what it cannot.
  static std::unique_ptr<DeviceForward> create(const Variant& variant, std::string& note);
  ~DeviceForward();

  int blocks() const;  // computes blocks [0, blocks())
  bool hasHead() const;
  bool holdsAll(size_t logitRows) const;  // all blocks, and a head for so many rows at once

  // As the calls of Forward; an error leaves the stream as it was.
  Result<void> run(int first, int last, Matrix& stream, std::span<const Segment> segments,
                   JobContext& job);
  Result<Matrix> head(const Matrix& rows, JobContext& job);
  Result<Matrix> logits(const Matrix& stream, std::span<const Segment> segments,
                        std::span<const uint32_t> rows, JobContext& job);
  // Of the last row: at most kMostTop tokens.
  Result<TopLogits> top(const Matrix& stream, std::span<const Segment> segments, size_t count,
                        JobContext& job);
  // A copy of the reference for `compare`; false when there is no room for one.
  bool keep(const ReferenceLogits& reference);
  Result<ComparedRows> compare(const Matrix& rows, const ReferenceLogits& reference,
                               size_t firstRow, std::optional<size_t> shown, JobContext& job);

 private:
  struct State;
  explicit DeviceForward(std::unique_ptr<State> state);
  std::unique_ptr<State> m_state;
};

}  // namespace bitloom
