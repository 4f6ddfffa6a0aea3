// SPDX-License-Identifier: GPL-3.0-or-later
// The ops of inference on a device: each adds its dispatches to a recording. Matrices are row-major
// f32, tokens × width, without gaps. The caller checks sizes; outputs do not overlap inputs unless
// a comment allows it. Sums are in f32, in an order that depends on the device's kind and on
// whether a product has few tokens or many, never on timing.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/vulkan/device.h"
#include "kernels/vulkan/recording.h"

namespace bitloom::vulkan {

// A tensor on a device: panels (rows.h), in as many buffers as the device's binding range asks for.
struct Weights {
  struct Slice {
    Buffer panels;
    uint64_t firstRow = 0;
    uint64_t rows = 0;
  };
  std::string codec;  // for which shaders exist
  uint64_t rows = 0;
  uint64_t rowLength = 0;
  uint64_t rowWords = 0;
  std::vector<Slice> slices;
};

// Whether rows of this codec can be computed with as they are.
bool hasShaders(std::string_view codec);

// Rows [0, rows) of `rowBytes` bytes each, end to end → a device.
Result<Weights> upload(Device& device, std::string_view codec, const uint8_t* bytes, uint64_t rows,
                       uint64_t rowLength, uint64_t rowBytes);

// The same with bytes that are undefined yet.
Result<Weights> makeWeights(Device& device, std::string_view codec, uint64_t rows,
                            uint64_t rowLength, uint64_t rowBytes);

// Whether a device can encode rows of floats (Ops::encode).
bool hasEncoder(std::string_view codec);
// Multiply-adds that a weight takes there, about.
double encodeWork(std::string_view codec);

// Bytes that `upload` would take there.
uint64_t uploadedBytes(uint64_t rows, uint64_t rowLength, uint64_t rowBytes);

// Where a sequence's keys and values lie for a run of its rows: entries of the attention's table.
struct AttentionTile {
  uint32_t firstRow = 0;  // of the queries
  uint32_t rows = 0;      // at most attentionRows()
  uint32_t position = 0;  // of the first of them
  uint32_t firstKey = 0;  // row of position 0 among keys and values
};

// How keys and values are kept: the formats of shaders/cache.glsl.
enum class CacheFormat : uint32_t { Floats, Halves, Bytes };

// Of `values` in all; of Bytes a multiple of 32.
uint64_t cacheBytes(CacheFormat format, uint64_t values);

struct Attention {
  const Buffer* queries = nullptr;  // rows × heads · headWidth
  const Buffer* keys = nullptr;     // rows × keyHeads · headWidth, floats or what `keep` keeps
  const Buffer* values = nullptr;
  const Buffer* output = nullptr;
  const Buffer* tiles = nullptr;  // AttentionTile
  uint32_t firstTile = 0;         // of the table
  uint32_t tileCount = 0;
  uint32_t heads = 0;
  uint32_t keyHeads = 0;
  uint32_t headWidth = 0;  // even
  uint32_t valueWidth = 0;
  float scale = 1;
  CacheFormat format = CacheFormat::Floats;  // of keys and values
  double positions = 0;                      // that a row sees, about; for the work's size
  uint32_t splits = 1;                       // workgroups that share a tile's positions
  const Buffer* shares = nullptr;            // of attentionShareBytes, when there are several
};

// Into how many shares to split the positions, of which there are `most` at most, so that a device
// has enough to do at once.
uint32_t attentionSplits(const Device& device, const Attention& task, uint32_t most);
uint64_t attentionShareBytes(const Attention& task);

// Rows that one tile may have.
uint32_t attentionRows(uint32_t heads, uint32_t keyHeads);

struct Rope {
  const Buffer* input = nullptr;
  const Buffer* output = nullptr;     // may be the input
  const Buffer* table = nullptr;      // positions × (cosines, sines)
  const Buffer* positions = nullptr;  // of each row, uint32
  uint32_t rows = 0;
  uint32_t heads = 0;
  uint32_t headWidth = 0;
  uint32_t pairs = 0;
  bool adjacent = false;
};

// The likeliest tokens of a row of logits, gathered in two buffers in turn.
constexpr uint32_t kMostTop = 64;
struct Top {
  uint32_t count = 0;  // that are kept, at most kMostTop
  uint32_t runs = 0;   // entries of `sums`
  Buffer values[2];
  Buffer ids[2];
  Buffer sums;      // of each run of logits: the largest, and Σ e^(logit − largest)
  size_t last = 0;  // which of the two holds the result: `count` values and ids, largest first
};
Result<Top> makeTop(Device& device, uint32_t vocabulary, uint32_t count);

enum class Elementwise : uint32_t { SiluGate, GeluGate, Add, Scale };

class Ops {
 public:
  explicit Ops(Device& device, Recording& recording) : m_device(device), m_recording(recording) {}

  // output[token][row] = Σ weight · input (+ bias), output: tokens × weights.rows. The input of
  // codecs with a rotated basis is rotated already.
  Result<void> linear(const Weights& weights, const Buffer& input, uint32_t tokens,
                      const Buffer* bias, const Buffer& output);
  // Rows of weights by index (uint32) → tokens × rowLength.
  Result<void> embed(const Weights& weights, const Buffer& indices, uint32_t tokens,
                     const Buffer& output);
  // The input, a multiple of 32 values, into the rotated basis.
  Result<void> rotate(const Buffer& input, uint64_t count, const Buffer& output);
  // RMS norm over each `width` of `count` · width values; the output may be the input.
  Result<void> norm(const Buffer& input, const Buffer& weight, uint32_t width, uint64_t count,
                    float epsilon, const Buffer& output);
  Result<void> rope(const Rope& task);
  // `right` is null for Scale; the output may be an input.
  Result<void> elementwise(Elementwise kind, const Buffer& left, const Buffer* right,
                           uint64_t count, float factor, const Buffer& output);
  // Rows of a matrix by index (uint32).
  Result<void> gather(const Buffer& input, uint32_t columns, const Buffer& indices, uint32_t rows,
                      const Buffer& output);
  // Rows [first, first + count) into the cache's rows of their positions. `width` is even; for
  // Bytes a multiple of 32.
  Result<void> keep(const Buffer& input, uint32_t width, const Buffer& positions, uint32_t first,
                    uint32_t count, CacheFormat format, const Buffer& cache);
  Result<void> attend(const Attention& task);
  // The likeliest of a row of logits, the lower id first of equals; what is no number counts as
  // −∞, and what is −∞ may come with any id.
  Result<void> top(const Buffer& logits, uint32_t vocabulary, Top& top);
  // output[i] = KL(reference row firstRow + i ‖ row i) in nats. `sums`: of each reference row the
  // largest logit and log Σ e^(logit − largest).
  Result<void> divergence(const Buffer& logits, uint32_t rows, uint32_t columns,
                          const Buffer& reference, const Buffer& sums, uint32_t firstRow,
                          const Buffer& output);
  // Rows of floats → rows [firstRow, firstRow + rows) of `to`, which lie in one slice; firstRow is
  // a multiple of kRowsOfPanel. `damage` (one word) becomes 1 when a value is not finite.
  Result<void> encode(const Buffer& floats, uint32_t rows, uint64_t firstRow, const Weights& to,
                      const Buffer& damage);

 private:
  Result<void> multiplySlice(const Weights& weights, const Weights::Slice& slice,
                             const Buffer& input, uint32_t tokens, const Buffer* bias,
                             const Buffer& output);
  Result<void> mergeShares(const Attention& task, uint32_t firstTile, uint32_t count);

  Device& m_device;
  Recording& m_recording;
};

}  // namespace bitloom::vulkan
