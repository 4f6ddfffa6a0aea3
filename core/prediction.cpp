// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/prediction.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/metric.h"
#include "core/pooling.h"

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
  const std::vector<double> factors = pooledFactors(sensitivity);
  for (size_t i = 0; i < cells.size(); ++i) {
    const auto tensor = indices.find(cells[i].tensor);
    if (tensor == indices.end()) continue;
    m_cells[tensor->second][cells[i].codec] = {&cells[i], factors[i]};
  }
  if (auto correction = Correction::fit(sensitivity.plans)) m_correction = std::move(*correction);
}

const Predictor::Known* Predictor::find(size_t tensor, const Codec& codec) const {
  const auto found = m_cells[tensor].find(codec.name);
  return found == m_cells[tensor].end() ? nullptr : &found->second;
}

Prediction Predictor::predict(const Plan& plan) const {
  const Prediction raw = uncorrected(plan);
  if (!m_correction || !(raw.value > 0)) return raw;
  const Correction::Interval interval = m_correction->apply(raw.value, raw.spread);
  const double error = std::isfinite(interval.low) ? (interval.high - interval.low) / (2 * 1.96)
                                                   : raw.error * interval.value / raw.value;
  return {.value = interval.value,
          .error = error,
          .spread = raw.spread,
          .low = interval.low,
          .high = interval.high};
}

Prediction Predictor::uncorrected(const Plan& plan) const {
  Prediction prediction;
  double squares = 0;  // of errors
  double valueSquares = 0;
  std::vector<double> sums(m_samples);  // of all cells, by sequence
  for (const Choice& choice : plan.tensors) {
    if (!choice.effective || choice.effective == m_model.tensors()[choice.tensor].codec) continue;
    const Known* known = find(choice.tensor, *choice.effective);
    if (known == nullptr) {
      const double unknown = std::numeric_limits<double>::quiet_NaN();
      return {.value = unknown, .error = unknown};
    }
    for (size_t j = 0; j < m_samples; ++j) {
      sums[j] += known->factor * std::pow(double(known->cell->samples[j]), 2);
    }
    prediction.value += known->factor * known->cell->value;
    valueSquares += std::pow(known->factor * known->cell->value, 2);
    squares += std::pow(known->factor * known->cell->error, 2);
  }
  if (valueSquares > 0) prediction.spread = std::pow(prediction.value, 2) / valueSquares;
  prediction.error = m_samples > 1 ? estimate(sums).error : std::sqrt(squares);
  return prediction;
}

Prediction predict(const Model& model, const Plan& plan, const Sensitivity& sensitivity) {
  return Predictor(model, sensitivity).predict(plan);
}

namespace {

constexpr size_t kFewestPlans = 5;
constexpr size_t kFewestForSpread = 10;
constexpr double kBroken = 2;   // nats per token
constexpr double kReach = 0.1;  // above the largest prediction that was tried, in its logarithm

double valueAt(const std::vector<double>& factors, double x) {
  double sum = 0;
  double power = 1;
  for (const double factor : factors) {
    sum += factor * power;
    power *= x;
  }
  return sum;
}

bool rises(const std::vector<double>& factors, double low, double high) {
  const auto slope = [&](double x) {
    return factors[1] + (factors.size() > 2 ? 2 * factors[2] * x : 0);
  };
  return slope(low) > 0 && slope(high) > 0;
}

}  // namespace

Result<Correction> Correction::fit(std::span<const PredictedPlan> all) {
  std::vector<PredictedPlan> plans(all.begin(), all.end());
  std::erase_if(plans, [](const PredictedPlan& plan) { return plan.measured > kBroken; });
  if (plans.size() < kFewestPlans) {
    return makeError(ErrorCode::InvalidArgument, "A correction of predictions needs ", kFewestPlans,
                     " measured plans of at most ", kBroken, " nats per token, not ", plans.size(),
                     ".");
  }
  Correction result;
  result.m_count = plans.size();
  Eigen::VectorXd x(Eigen::Index(plans.size()));
  Eigen::VectorXd spread(x.size());
  Eigen::VectorXd y(x.size());
  for (size_t i = 0; i < plans.size(); ++i) {
    if (!(plans[i].predicted > 0) || !(plans[i].measured > 0) || !(plans[i].spread > 0)) {
      return makeError(ErrorCode::InvalidArgument, "Plan ", i, " was predicted at ",
                       plans[i].predicted, ", spread over ", plans[i].spread,
                       " tensors, and measured at ", plans[i].measured,
                       "; a correction takes positive numbers.");
    }
    x[Eigen::Index(i)] = std::log(plans[i].predicted);
    spread[Eigen::Index(i)] = std::log(plans[i].spread);
    y[Eigen::Index(i)] = std::log(plans[i].measured);
  }
  result.m_centre = x.mean();
  x.array() -= result.m_centre;
  result.m_lowest = x.minCoeff();
  result.m_highest = x.maxCoeff();
  result.m_spreadCentre = spread.mean();
  spread.array() -= result.m_spreadCentre;
  result.m_leastSpread = spread.minCoeff();
  result.m_mostSpread = spread.maxCoeff();
  const bool spreads = plans.size() >= kFewestForSpread;
  // The parabola, else a line, else a factor alone (slope 1); with the spread where it varies.
  for (const Eigen::Index powers : {3, 2, 1}) {
    for (const Eigen::Index extra : {1, 0}) {
      if (extra == 1 && !spreads) continue;
      const Eigen::Index terms = powers + extra;
      Eigen::MatrixXd basis = Eigen::MatrixXd::Ones(x.size(), terms);
      for (Eigen::Index t = 1; t < powers; ++t) basis.col(t) = basis.col(t - 1).cwiseProduct(x);
      if (extra == 1) basis.col(powers) = spread;
      const Eigen::VectorXd target = powers == 1 ? Eigen::VectorXd(y - x) : y;
      const Eigen::ColPivHouseholderQR<Eigen::MatrixXd> solver(basis);
      if (solver.rank() < terms) continue;  // all plans were predicted, or are spread, alike
      const Eigen::VectorXd factors = solver.solve(target);
      const double freedom = double(x.size() - terms);
      const double variance = (target - basis * factors).squaredNorm() / freedom;
      const Eigen::MatrixXd covariance = variance * (basis.transpose() * basis).inverse();
      result.m_scatter = std::sqrt(variance);
      result.m_factors.assign(factors.data(), factors.data() + powers);
      if (powers == 1) result.m_factors.push_back(1);  // known, without error
      result.m_powers = size_t(powers);
      result.m_spreadFactor = extra == 1 ? factors[powers] : 0;
      result.m_covariance.assign(covariance.data(), covariance.data() + covariance.size());
      if (powers == 1 || rises(result.m_factors, result.m_lowest, result.m_highest)) return result;
      break;  // a falling curve; a spread would not mend it
    }
  }
  return result;
}

Correction::Interval Correction::apply(double predicted, double spread) const {
  const double x = std::log(predicted) - m_centre;
  const double at = std::clamp(x, m_lowest, m_highest);
  const double s = std::clamp(std::log(spread) - m_spreadCentre, m_leastSpread, m_mostSpread);
  const double slope = m_factors[1] + (m_factors.size() > 2 ? 2 * m_factors[2] * at : 0);
  const double value = valueAt(m_factors, at) + slope * (x - at) + m_spreadFactor * s;
  const size_t terms = size_t(std::sqrt(double(m_covariance.size())) + 0.5);
  const auto basis = [&](size_t term) { return term < m_powers ? std::pow(x, double(term)) : s; };
  double variance = m_scatter * m_scatter;
  for (size_t i = 0; i < terms; ++i) {
    for (size_t k = 0; k < terms; ++k) {
      variance += m_covariance[i * terms + k] * basis(i) * basis(k);
    }
  }
  if (x > m_highest + kReach) {
    const double unknown = std::numeric_limits<double>::quiet_NaN();
    return {std::exp(value), unknown, unknown};
  }
  const double half = studentT95(m_count - terms) * std::sqrt(variance);
  return {std::exp(value), std::exp(value - half), std::exp(value + half)};
}

}  // namespace bitloom
