// SPDX-License-Identifier: GPL-3.0-or-later
// What a scan says of a whole plan: the sum of its cells, pooled (core/pooling.h) and corrected by
// plans that were measured.
// Tensors that are copied unchanged count 0. Sums are too small where damage is large, and the
// correction learns by how much. (The mean of squared sums of samples, which the sketch would give
// for several tensors together, is right for small damage but scatters by 15 % with 96 sequences,
// the sum by 7 %.)
#pragma once
#include <limits>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/model.h"
#include "core/recipe.h"
#include "core/sensitivity.h"

namespace bitloom {

// From what cells predict to what is measured: ln measured = a + b·ln predicted + c·(ln predicted)²
// + d·ln spread by least squares over measured plans, rising over the range that was seen (b and c
// are lowered to a straight line, or to b = 1 alone, where the parabola would fall; d needs ten
// plans). Damage that many tensors share adds up to more than that of a few. The interval is that
// of another plan of the same kind: scatter about the curve and error of the curve, Student's t.
// Plans beyond 2 nats per token are left out: such a model is broken, and the curve leads nowhere
// there.
class Correction {
 public:
  // Needs five plans; fewer, or numbers that are not positive, are refused.
  static Result<Correction> fit(std::span<const PredictedPlan> plans);

  struct Interval {
    double value = 0;
    double low = 0;  // 95 %; NaN above what was tried
    double high = 0;
  };
  Interval apply(double predicted, double spread = 1) const;
  size_t plans() const { return m_count; }
  double scatter() const { return m_scatter; }  // standard deviation of ln measured about the curve

 private:
  double m_centre = 0;            // of ln predicted
  std::vector<double> m_factors;  // of 1, x, x² with x = ln predicted − centre
  size_t m_powers = 0;            // of them that were fitted
  double m_spreadFactor = 0;      // of ln spread − centre
  double m_spreadCentre = 0, m_leastSpread = 0, m_mostSpread = 0;
  std::vector<double> m_covariance;  // of the fitted factors, the spread's last
  double m_scatter = 0;
  double m_lowest = 0, m_highest = 0;  // x seen; beyond, the curve goes on as a straight line
  size_t m_count = 0;
};

struct Prediction {
  double value = 0;   // in the metric's unit, nats per token when corrected; NaN without a cell
  double error = 0;   // standard error
  double spread = 1;  // as PredictedPlan's, of an uncorrected prediction
  // 95 % interval of what will be measured; NaN where too few plans were measured to tell.
  double low = std::numeric_limits<double>::quiet_NaN();
  double high = std::numeric_limits<double>::quiet_NaN();
};

// Keeps the cells by tensor and codec, so that a plan takes microseconds. Borrows both arguments.
// Where the scan holds enough measured plans, predictions are corrected by them.
class Predictor {
 public:
  Predictor(const Model& model, const Sensitivity& sensitivity);

  Prediction predict(const Plan& plan) const;
  Prediction uncorrected(const Plan& plan) const;
  bool isCorrected() const { return m_correction.has_value(); }

 private:
  struct Known {
    const Cell* cell;
    double factor;  // of its value, by pooling
  };
  const Known* find(size_t tensor, const Codec& codec) const;  // null: there is none

  const Model& m_model;
  std::vector<std::unordered_map<std::string_view, Known>> m_cells;  // by tensor, then codec
  size_t m_samples = 0;  // of each cell of a quadratic metric; else 0
  std::optional<Correction> m_correction;
};

Prediction predict(const Model& model, const Plan& plan, const Sensitivity& sensitivity);

}  // namespace bitloom
