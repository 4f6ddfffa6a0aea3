// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/prediction.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/metric.h"

namespace bitloom {

Predictor::Predictor(const Model& model, const Sensitivity& sensitivity)
    : m_model(model), m_cells(model.tensors().size()) {
  std::unordered_map<std::string_view, size_t> indices;
  for (size_t i = 0; i < model.tensors().size(); ++i) indices[model.tensors()[i].name] = i;
  const Metric* metric = findMetric(sensitivity.metric);
  const auto& cells = sensitivity.cells;
  if (metric != nullptr && metric->quadratic && !cells.empty()) {
    m_samples = cells.front().samples.size();
    for (const Cell& cell : cells) {
      if (cell.samples.size() != m_samples) m_samples = 0;
    }
  }
  for (const Cell& cell : cells) {
    const auto tensor = indices.find(cell.tensor);
    if (tensor != indices.end()) m_cells[tensor->second][cell.codec] = &cell;
  }
}

const Cell* Predictor::find(size_t tensor, const Codec& codec) const {
  const auto found = m_cells[tensor].find(codec.name);
  return found == m_cells[tensor].end() ? nullptr : found->second;
}

Prediction Predictor::predict(const Plan& plan) const {
  Prediction prediction;
  double squares = 0;
  std::vector<double> sums(m_samples);
  for (const Choice& choice : plan.tensors) {
    if (!choice.effective || choice.effective == m_model.tensors()[choice.tensor].codec) continue;
    const Cell* cell = find(choice.tensor, *choice.effective);
    if (cell == nullptr) {
      const double unknown = std::numeric_limits<double>::quiet_NaN();
      return {unknown, unknown};
    }
    for (size_t j = 0; j < m_samples; ++j) sums[j] += double(cell->samples[j]);
    prediction.value += cell->value;
    squares += cell->error * cell->error;
  }
  prediction.error = std::sqrt(squares);
  if (m_samples == 0) return prediction;
  for (double& sum : sums) sum *= sum;
  const Estimate joint = estimate(sums);
  return {joint.mean, joint.error};
}

Prediction predict(const Model& model, const Plan& plan, const Sensitivity& sensitivity) {
  return Predictor(model, sensitivity).predict(plan);
}

}  // namespace bitloom
