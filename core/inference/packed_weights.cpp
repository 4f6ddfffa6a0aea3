// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/packed_weights.h"

#include <sys/mman.h>

#include <algorithm>
#include <vector>

#include "core/base/strings.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr std::string_view kUniversal = "bf16";  // holds any weight, to 8 bits of mantissa
constexpr size_t kLargePage = size_t{2} << 20;   // Linux's, on x86-64 and most of AArch64
constexpr size_t kPanelsAtOnce = 4;

const PanelCodec* findPanels(std::string_view codec) {
  const CpuKernels& kernels = cpuKernels();
  for (size_t i = 0; i < kernels.panelCodecCount; ++i) {
    if (kernels.panelCodecs[i].name == codec) return &kernels.panelCodecs[i];
  }
  return nullptr;
}

// The codec's own panels, or null where it has none for rows of this length.
const PanelCodec* panelsOf(const Codec& codec, uint64_t rowLength) {
  const PanelCodec* own = findPanels(codec.name);
  return own != nullptr && own->panelBytes(rowLength) != 0 ? own : nullptr;
}

// Rows in the bytes of another codec, for one panel.
struct Transcoded {
  const Codec* codec;
  size_t rowBytes;
  std::vector<float> values;
  std::vector<std::byte> bytes;

  void fill(const Codec& from, const std::byte* rows, size_t fromRowBytes, size_t count,
            size_t rowLength) {
    values.resize(rowLength);
    bytes.resize(count * rowBytes);
    for (size_t row = 0; row < count; ++row) {
      from.decode({rows + row * fromRowBytes, fromRowBytes}, values);
      codec->encode(values, {}, std::span(bytes).subspan(row * rowBytes, rowBytes));
    }
  }
};

}  // namespace

uint64_t packedBytes(const Codec& codec, uint64_t rows, uint64_t rowLength) {
  const PanelCodec* panel = panelsOf(codec, rowLength);
  if (panel == nullptr) panel = findPanels(kUniversal);
  return (rows + kPanelRows - 1) / kPanelRows * panel->panelBytes(rowLength);
}

Result<PackedWeights> packWeights(const Tensor& source, const Encoded* encoded, JobContext& job) {
  const Codec& codec = encoded == nullptr ? *source.codec : *encoded->codec;
  const PanelCodec* own = panelsOf(codec, source.rowLength());
  PackedWeights packed;
  packed.panel = own == nullptr ? findPanels(kUniversal) : own;
  packed.rows = source.rows();
  packed.rowLength = source.rowLength();
  packed.panelBytes = packed.panel->panelBytes(packed.rowLength);
  const size_t bytes = packed.panels() * packed.panelBytes;
  const size_t room = (bytes + kLargePage - 1) / kLargePage * kLargePage;
  packed.bytes.reset(static_cast<uint8_t*>(std::aligned_alloc(kLargePage, room)));
  if (!packed.bytes) {
    return makeError(ErrorCode::OutOfMemory, source.name, ": no memory for ", bytes,
                     " bytes of weights.");
  }
  ::madvise(packed.bytes.get(), room, MADV_HUGEPAGE);

  const Codec* universal = findCodec(kUniversal);
  const std::byte* rows = encoded == nullptr ? source.bytes.data() : encoded->bytes.data();
  const size_t rowBytes = codec.rowBytes(packed.rowLength);
  TRY(job.checkpoint());
  job.parallelFor(packed.panels(), kPanelsAtOnce, [&](size_t begin, size_t end) {
    Transcoded transcoded{.codec = universal,
                          .rowBytes = universal->rowBytes(packed.rowLength),
                          .values = {},
                          .bytes = {}};
    for (size_t i = begin; i < end; ++i) {
      const size_t first = i * kPanelRows;
      const size_t count = std::min<size_t>(kPanelRows, packed.rows - first);
      const std::byte* from = rows + first * rowBytes;
      PanelSource panel = {.bytes = reinterpret_cast<const uint8_t*>(from),
                           .rowBytes = rowBytes,
                           .rows = count,
                           .k = packed.rowLength};
      if (own == nullptr) {
        transcoded.fill(codec, from, rowBytes, count, packed.rowLength);
        panel.bytes = reinterpret_cast<const uint8_t*>(transcoded.bytes.data());
        panel.rowBytes = transcoded.rowBytes;
      }
      packed.panel->pack(panel, packed.bytes.get() + i * packed.panelBytes);
    }
  });
  return packed;
}

}  // namespace bitloom
