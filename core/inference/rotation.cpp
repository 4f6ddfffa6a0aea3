// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/inference/rotation.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/base/strings.h"
#include "core/variant.h"

namespace bitloom {
namespace {

// YaRN keeps fast pairs as they are, stretches slow ones by the factor and blends between
// (arXiv 2309.00071, §3.2). This is the pair that turns `turns` times over the original context.
double pairWithTurns(const RopeParameters& rope, double turns) {
  const double context = rope.originalContext;
  return rope.rotated * std::log(context / (turns * 2 * std::numbers::pi)) /
         (2 * std::log(rope.base));
}

// 1 where the pair keeps its speed, 0 where it is stretched in full.
double keptShare(const RopeParameters& rope, size_t pair) {
  const double last = rope.rotated - 1.0;
  const double low = std::max(0.0, std::floor(pairWithTurns(rope, rope.yarnBetaFast)));
  const double high = std::min(last, std::ceil(pairWithTurns(rope, rope.yarnBetaSlow)));
  const double ramp = (double(pair) - low) / std::max(0.001, high - low);
  return 1 - std::clamp(ramp, 0.0, 1.0);
}

}  // namespace

RotationSpeeds rotationSpeeds(const RopeParameters& rope, const std::vector<float>& factors) {
  RotationSpeeds result;
  const bool yarn = rope.yarnFactor != 1;
  result.magnitude = yarn ? rope.yarnAttention : 1;
  for (size_t pair = 0; pair < rope.rotated / 2; ++pair) {
    double speed = std::pow(rope.base, -2.0 * double(pair) / rope.rotated);
    if (pair < factors.size()) speed /= double(factors[pair]);
    speed *= rope.frequencyScale;
    if (yarn) {
      const double kept = keptShare(rope, pair);
      speed *= kept + (1 - kept) / rope.yarnFactor;
    }
    result.speeds.push_back(speed);
  }
  return result;
}

void RotationTable::reach(uint32_t positions) {
  if (pairs() == 0) return;
  const size_t known = m_cosines.size() / pairs();
  for (size_t position = known; position < positions; ++position) {
    for (double speed : m_speeds.speeds) {
      const double angle = double(position) * speed;
      m_cosines.push_back(static_cast<float>(m_speeds.magnitude * std::cos(angle)));
      m_sines.push_back(static_cast<float>(m_speeds.magnitude * std::sin(angle)));
    }
  }
}

Rotations::Rotations(const Variant& variant)
    : m_variant(variant), m_tableOf(variant.graph().ops.size()) {}

Result<RotationTable*> Rotations::make(const RopeParameters& r, JobContext& job) {
  const std::string key = strCat(r.rotated, ' ', r.base, ' ', r.frequencyScale, ' ', r.yarnFactor,
                                 ' ', r.yarnAttention, ' ', r.yarnBetaFast, ' ', r.yarnBetaSlow,
                                 ' ', r.originalContext, ' ', r.factorsTensor);
  auto found = m_tables.find(key);
  if (found == m_tables.end()) {
    std::vector<float> factors;
    if (r.factorsTensor != kNone) {
      TRY(const DecodedWeights decoded,
          m_variant.weights(static_cast<size_t>(r.factorsTensor), job));
      factors = *decoded;
    }
    found = m_tables.emplace(key, RotationTable(rotationSpeeds(r, factors))).first;
  }
  return &found->second;
}

Result<const RotationTable*> Rotations::tableOf(const Op& op, uint32_t positions, JobContext& job) {
  RotationTable*& table = m_tableOf[static_cast<size_t>(&op - m_variant.graph().ops.data())];
  if (table == nullptr) {
    TRY(table, make(op.rope, job));
  }
  table->reach(positions);
  return table;
}

}  // namespace bitloom
