// SPDX-License-Identifier: GPL-3.0-or-later
// What a scan says of a whole plan. Cells of additive metrics are summed; those of quadratic ones
// (core/metric.h) have samples that are summed for each sequence before they are squared:
// mean_j (Σ a_j)², in which codings that pull the same way count double. Tensors that are copied
// unchanged count 0.
#pragma once
#include <span>
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

// A plan that was predicted and measured.
struct PredictedPlan {
  double predicted = 0;  // by the cells; above 0
  double measured = 0;   // above 0
};

// From what cells predict to what is measured: ln measured = a + b·ln predicted + c·(ln predicted)²
// by least squares over measured plans, rising over the range that was seen (b and c are lowered to
// a straight line, or to b = 1 alone, where the parabola would fall). The interval is that of
// another plan of the same kind: scatter about the curve and error of the curve, Student's t.
class Correction {
 public:
  // Needs five plans; fewer, or numbers that are not positive, are refused.
  static Result<Correction> fit(std::span<const PredictedPlan> plans);

  struct Interval {
    double value = 0;
    double low = 0;  // 95 %
    double high = 0;
  };
  Interval apply(double predicted) const;
  size_t plans() const { return m_count; }
  double scatter() const { return m_scatter; }  // standard deviation of ln measured about the curve

 private:
  double m_centre = 0;               // of ln predicted
  std::vector<double> m_factors;     // of 1, x, x² with x = ln predicted − centre
  std::vector<double> m_covariance;  // factors × factors
  double m_scatter = 0;
  double m_lowest = 0, m_highest = 0;  // x seen; beyond, the curve goes on as a straight line
  size_t m_count = 0;
};

}  // namespace bitloom
