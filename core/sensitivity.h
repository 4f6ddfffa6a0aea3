// SPDX-License-Identifier: GPL-3.0-or-later
// How much each tensor suffers at each codec: the cells of the heatmap and the input of allocators.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/job.h"
#include "kernels/base/result.h"

namespace bitloom {

struct Cell {
  std::string tensor;
  std::string codec;  // effective codec
  std::string metric;
  double value = 0;    // unit of the metric; for kld: nats per token
  double error = 0;    // standard error; 0 for a proxy, which has none
  uint64_t bytes = 0;  // of the tensor at this codec
  // One number for each sequence of the text, where the metric has such: what a prediction for
  // several tensors together is made of (core/prediction.h). Else empty.
  std::vector<float> samples;
};

// A plan that was predicted by the cells and measured (core/prediction.h).
struct PredictedPlan {
  double predicted = 0;  // above 0
  double measured = 0;   // above 0; nats per token
  double spread = 1;     // tensors that share the damage: (Σ damage)² ÷ Σ damage²
};

struct Sensitivity {
  std::string metric;
  std::string method = "nearest";  // by which the cells' tensors were encoded
  std::string fingerprint;         // of the model
  std::string text;                // name of the text; empty for metrics without one
  std::string textHash;            // SHA-256 of the tokens
  uint64_t tokens = 0;
  std::vector<Cell> cells;
  std::vector<PredictedPlan> plans;  // what predictions by these cells are corrected with

  const Cell* find(std::string_view tensor, std::string_view codec) const;
};

std::string toJson(const Sensitivity& sensitivity);
Result<Sensitivity> loadSensitivity(const std::filesystem::path& path);
Result<void> saveSensitivity(const Sensitivity& sensitivity, const std::filesystem::path& path);

}  // namespace bitloom
