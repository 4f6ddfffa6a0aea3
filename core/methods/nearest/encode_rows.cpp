// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/methods/nearest/encode_rows.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace bitloom {
namespace {

constexpr uint64_t kGrainWeights = 4 * 1024;  // one task of one thread, 0.1 ms to some ms
constexpr size_t kGrainsPerThread = 32;       // between two checkpoints
constexpr uint64_t kAllFinite = std::numeric_limits<uint64_t>::max();

// Without an early exit, so that it takes whole vectors.
bool allFinite(std::span<const float> values) {
  constexpr uint32_t kExponent = 0x7f800000;
  uint32_t bad = 0;
  for (const float value : values) {
    bad |= uint32_t((std::bit_cast<uint32_t>(value) & kExponent) == kExponent);
  }
  return bad == 0;
}

// Decodes all rows in waves that end at checkpoints and hands each to `use(row, values)`, any
// thread. Row × columns + column of the first value that is not finite, else kAllFinite.
Result<uint64_t> forEachRow(const Tensor& tensor, JobContext& job,
                            const std::function<void(uint64_t, std::span<const float>)>& use) {
  const uint64_t n = tensor.rowLength();
  const uint64_t grain = std::max<uint64_t>(1, kGrainWeights / std::max<uint64_t>(1, n));
  const uint64_t wave = grain * kGrainsPerThread * uint64_t(job.workers().threads());
  std::atomic<uint64_t> firstBad = kAllFinite;
  for (uint64_t begin = 0; begin < tensor.rows(); begin += wave) {
    TRY(job.checkpoint());
    const uint64_t count = std::min(wave, tensor.rows() - begin);
    job.parallelFor(size_t(count), size_t(grain), [&](size_t first, size_t last) {
      std::vector<float> row(n);
      for (uint64_t r = begin + first; r < begin + last && !job.cancelled(); ++r) {
        decodeRows(tensor, r, 1, row.data());
        if (allFinite(row)) {
          use(r, row);
          continue;
        }
        const auto bad =
            std::find_if(row.begin(), row.end(), [](float value) { return !std::isfinite(value); });
        const uint64_t place = r * n + uint64_t(bad - row.begin());
        uint64_t known = firstBad;
        while (place < known && !firstBad.compare_exchange_weak(known, place)) {
        }
      }
    });
    if (firstBad != kAllFinite) break;
  }
  TRY(job.checkpoint());
  return firstBad.load();
}

Error notFinite(const Tensor& tensor, uint64_t place) {
  const uint64_t n = tensor.rowLength();
  return makeError(ErrorCode::Corrupt, tensor.name, ": row ", place / n, ", column ", place % n,
                   " holds a NaN or an infinity, so the tensor is damaged.");
}

}  // namespace

Result<Encoded> encodeRows(const QuantizeTask& task, std::span<const float> weights,
                           JobContext& job) {
  const uint64_t rowBytes = task.codec.rowBytes(task.source.rowLength());
  CHECK(rowBytes != 0 && task.source.codec);
  Encoded encoded{&task.codec, task.source.rowLength(), {}};
  encoded.bytes.resize(rowBytes * task.source.rows());
  const std::span<std::byte> out(encoded.bytes);
  TRY(const uint64_t bad, forEachRow(task.source, job, [&](uint64_t r, std::span<const float> row) {
        task.codec.encode(row, weights, out.subspan(size_t(r * rowBytes), size_t(rowBytes)));
      }));
  if (bad != kAllFinite) return notFinite(task.source, bad);
  return encoded;
}

Result<void> checkFinite(const Tensor& tensor, JobContext& job) {
  TRY(const uint64_t bad, forEachRow(tensor, job, [](uint64_t, std::span<const float>) {}));
  if (bad != kAllFinite) return notFinite(tensor, bad);
  return {};
}

bool isEmbedding(const Tensor& tensor) {
  return tensor.name.find("token_embd") != std::string::npos;
}

}  // namespace bitloom
