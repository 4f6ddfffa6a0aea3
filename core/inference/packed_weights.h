// SPDX-License-Identifier: GPL-3.0-or-later
// One tensor arranged for inference: its codes and scales as panels (kernels/cpu/panels.h), about
// as many bytes as the file has, beside the mapped file. A codec without panels of its own is kept
// as bfloat16. Immutable.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "core/base/job.h"
#include "core/codec.h"
#include "core/model.h"
#include "kernels/cpu/panels.h"

namespace bitloom {

struct PackedWeights {
  struct Free {
    void operator()(uint8_t* bytes) const { std::free(bytes); }
  };
  const PanelCodec* panel = nullptr;
  uint64_t rows = 0;
  uint64_t rowLength = 0;
  size_t panelBytes = 0;  // of 16 rows
  std::unique_ptr<uint8_t[], Free> bytes;

  size_t panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  const uint8_t* at(size_t index) const { return bytes.get() + index * panelBytes; }
};

// `encoded` holds the tensor's rows, or is null: the source's own bytes do. An error: out of
// memory, or cancelled.
Result<PackedWeights> packWeights(const Tensor& source, const Encoded* encoded, JobContext& job);

// Bytes that packWeights would take.
uint64_t packedBytes(const Codec& codec, uint64_t rows, uint64_t rowLength);

}  // namespace bitloom
