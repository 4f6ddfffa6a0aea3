// SPDX-License-Identifier: GPL-3.0-or-later
// A Variant is a Model seen through a Plan, without a file: a tensor is encoded on first use, by
// its choice's method and codec, and read back through decode, so that what is measured is exactly
// what would be written. A Variant without a plan is the model itself.
//
// Decoded weights are kept in a WeightCache, which several variants share (FP16 and a plan side by
// side, a scan's cells): a changed layer costs one layer. Entries are keyed by source fingerprint,
// tensor, codec, method, options and calibration; the least recently used leave first.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/job.h"
#include "core/calibration.h"
#include "core/graph.h"
#include "core/model.h"
#include "core/recipe.h"

namespace bitloom {

// rows × rowLength floats, row-major; immutable. Held by whoever computes with it.
using DecodedWeights = std::shared_ptr<const std::vector<float>>;

struct PackedWeights;  // core/inference/packed_weights.h
class Backend;         // core/inference/backend.h

// How products are computed. Exact: in f32. Measure: on the processor's matrix unit where it has
// one, operands to 16 bits of mantissa, else as Exact; for scans and proofs. Chat: weights stay
// encoded, activations are rounded to 8 bits or to bfloat16, the fastest.
enum class Precision { Exact, Measure, Chat };

class WeightCache {
 public:
  explicit WeightCache(uint64_t byteLimit);  // 0: a third of the machine's memory
  ~WeightCache();
  WeightCache(const WeightCache&) = delete;
  WeightCache& operator=(const WeightCache&) = delete;
  uint64_t bytes() const;
  uint64_t limit() const;

 private:
  friend class Variant;
  struct Entries;
  std::unique_ptr<Entries> m_entries;
};

class Variant {
 public:
  // `cache` outlives the variant. The error is that of the architecture, if it is unknown.
  static Result<Variant> create(std::shared_ptr<const Model> model, WeightCache& cache);
  Variant(Variant&&) noexcept;
  Variant& operator=(Variant&&) noexcept;
  ~Variant();

  // The same view on the same model and cache, to be changed on its own. Cheap.
  Variant copy() const;

  // How this variant is to be computed with; Measure unless set.
  void setPrecision(Precision precision);
  Precision precision() const;
  // The device that runs of this variant are computed on, where it can; null, as at first: the CPU.
  void setBackend(std::shared_ptr<Backend> backend);
  const std::shared_ptr<Backend>& backend() const;

  const Model& model() const;
  std::shared_ptr<const Model> sharedModel() const;
  const Graph& graph() const;

  // From now on tensors are seen as the plan says. `calibration` may be null; it is kept by
  // reference until the next call.
  void setPlan(const Plan& plan, const Calibration* calibration = nullptr);
  // One tensor only; a null codec means the source itself.
  void setTensor(size_t tensor, const Codec* codec, const Method* method = nullptr,
                 const std::map<std::string, std::string>& options = {});
  // For methods that want statistics; may be null, kept by reference.
  void setCalibration(const Calibration* calibration);

  // The weights of one tensor as floats. Encodes first when the plan says so. Any thread.
  Result<DecodedWeights> weights(size_t tensor, JobContext& job) const;
  // The weights as products in Chat precision take them; null when the cache has not the room.
  Result<std::shared_ptr<const PackedWeights>> packed(size_t tensor, JobContext& job) const;
  // The same row by row: whole if the cache can hold the decoded tensor, else in tiles that are
  // decoded for this call. `visit`: (first row, rows, rows × rowLength floats), in order.
  using TileVisitor = std::function<Result<void>(uint64_t, uint64_t, const float*)>;
  Result<void> tiles(size_t tensor, const TileVisitor& visit, JobContext& job) const;
  // Single rows in the order of `rows`, each below the tensor's count, → rows.size() × rowLength.
  Result<void> gather(size_t tensor, std::span<const uint32_t> rows, float* out,
                      JobContext& job) const;
  // The encoded form of a changed tensor (what `quantize` writes); the source must not be asked.
  Result<Encoded> encode(size_t tensor, JobContext& job) const;
  bool isChanged(size_t tensor) const;
  // Equal strings mean equal weights: the cache's key (source, codec, method, options, and the
  // calibration where the method uses one). Cheap.
  std::string signatureOf(size_t tensor) const;
  const Codec* codecOf(size_t tensor) const;    // as seen: the plan's, or the source's
  const Method* methodOf(size_t tensor) const;  // that a changed tensor is encoded by; else null

 private:
  struct State;
  explicit Variant(std::unique_ptr<State> state);
  std::unique_ptr<State> m_state;
};

}  // namespace bitloom
