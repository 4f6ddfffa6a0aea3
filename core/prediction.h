// SPDX-License-Identifier: GPL-3.0-or-later
// What a scan says of a whole plan. Cells of additive metrics are summed; those of quadratic ones
// (core/metric.h) have samples that are summed for each sequence before they are squared:
// mean_j (Σ a_j)², in which codings that pull the same way count double. Tensors that are copied
// unchanged count 0.
#pragma once
#include <unordered_map>
#include <vector>

#include "core/model.h"
#include "core/recipe.h"
#include "core/sensitivity.h"

namespace bitloom {

struct Prediction {
  double value = 0;  // in the metric's unit; NaN when a cell is missing
  double error = 0;  // standard error
};

// Keeps the cells by tensor and codec, so that a plan takes microseconds. Borrows both arguments.
class Predictor {
 public:
  Predictor(const Model& model, const Sensitivity& sensitivity);

  Prediction predict(const Plan& plan) const;
  const Cell* find(size_t tensor, const Codec& codec) const;  // null: there is none
  // Samples add up before they are squared, and every cell has as many.
  bool isQuadratic() const { return m_samples > 0; }
  size_t samples() const { return m_samples; }

 private:
  const Model& m_model;
  std::vector<std::unordered_map<std::string_view, const Cell*>> m_cells;  // by tensor, then codec
  size_t m_samples = 0;
};

Prediction predict(const Model& model, const Plan& plan, const Sensitivity& sensitivity);

}  // namespace bitloom
