// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/prediction.h"

#include <Eigen/Dense>
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
  if (auto correction = Correction::fit(sensitivity.plans)) m_correction = std::move(*correction);
}

const Cell* Predictor::find(size_t tensor, const Codec& codec) const {
  const auto found = m_cells[tensor].find(codec.name);
  return found == m_cells[tensor].end() ? nullptr : found->second;
}

Prediction Predictor::predict(const Plan& plan) const {
  const Prediction raw = uncorrected(plan);
  if (!m_correction || !(raw.value > 0)) return raw;
  const Correction::Interval interval = m_correction->apply(raw.value);
  const double error = std::isfinite(interval.low) ? (interval.high - interval.low) / (2 * 1.96)
                                                   : raw.error * interval.value / raw.value;
  return {interval.value, error, interval.low, interval.high};
}

Prediction Predictor::uncorrected(const Plan& plan) const {
  Prediction prediction;
  double squares = 0;
  std::vector<double> sums(m_samples);  // of all cells, by sequence
  for (const Choice& choice : plan.tensors) {
    if (!choice.effective || choice.effective == m_model.tensors()[choice.tensor].codec) continue;
    const Cell* cell = find(choice.tensor, *choice.effective);
    if (cell == nullptr) {
      const double unknown = std::numeric_limits<double>::quiet_NaN();
      return {.value = unknown, .error = unknown};
    }
    for (size_t j = 0; j < m_samples; ++j) {
      sums[j] += double(cell->samples[j]) * double(cell->samples[j]);
    }
    prediction.value += cell->value;
    squares += cell->error * cell->error;
  }
  prediction.error = m_samples > 1 ? estimate(sums).error : std::sqrt(squares);
  return prediction;
}

Prediction predict(const Model& model, const Plan& plan, const Sensitivity& sensitivity) {
  return Predictor(model, sensitivity).predict(plan);
}

namespace {

constexpr size_t kFewestPlans = 5;
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
  Eigen::VectorXd y(x.size());
  for (size_t i = 0; i < plans.size(); ++i) {
    if (!(plans[i].predicted > 0) || !(plans[i].measured > 0)) {
      return makeError(ErrorCode::InvalidArgument, "Plan ", i, " was predicted at ",
                       plans[i].predicted, " and measured at ", plans[i].measured,
                       "; a correction takes positive numbers.");
    }
    x[Eigen::Index(i)] = std::log(plans[i].predicted);
    y[Eigen::Index(i)] = std::log(plans[i].measured);
  }
  result.m_centre = x.mean();
  x.array() -= result.m_centre;
  result.m_lowest = x.minCoeff();
  result.m_highest = x.maxCoeff();
  // The parabola, else a line, else a factor alone (slope 1).
  for (const Eigen::Index terms : {3, 2, 1}) {
    Eigen::MatrixXd powers = Eigen::MatrixXd::Ones(x.size(), terms);
    for (Eigen::Index t = 1; t < terms; ++t) powers.col(t) = powers.col(t - 1).cwiseProduct(x);
    const Eigen::VectorXd target = terms == 1 ? Eigen::VectorXd(y - x) : y;
    const Eigen::ColPivHouseholderQR<Eigen::MatrixXd> solver(powers);
    if (solver.rank() < terms) continue;  // all plans were predicted alike
    const Eigen::VectorXd factors = solver.solve(target);
    const double freedom = double(x.size() - terms);
    const double variance = (target - powers * factors).squaredNorm() / freedom;
    result.m_scatter = std::sqrt(variance);
    const Eigen::MatrixXd covariance = variance * (powers.transpose() * powers).inverse();
    result.m_factors.assign(factors.data(), factors.data() + terms);
    result.m_covariance.assign(covariance.data(), covariance.data() + covariance.size());
    if (terms == 1) {
      result.m_factors.push_back(1);  // known, without error
      break;
    }
    if (rises(result.m_factors, result.m_lowest, result.m_highest)) break;
  }
  return result;
}

Correction::Interval Correction::apply(double predicted) const {
  const double x = std::log(predicted) - m_centre;
  const double at = std::clamp(x, m_lowest, m_highest);
  const double slope = m_factors[1] + (m_factors.size() > 2 ? 2 * m_factors[2] * at : 0);
  const double value = valueAt(m_factors, at) + slope * (x - at);
  const size_t terms = size_t(std::sqrt(double(m_covariance.size())) + 0.5);
  double variance = m_scatter * m_scatter;
  for (size_t i = 0; i < terms; ++i) {
    for (size_t k = 0; k < terms; ++k) {
      variance += m_covariance[i * terms + k] * std::pow(x, double(i + k));
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
