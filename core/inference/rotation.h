// SPDX-License-Identifier: GPL-3.0-or-later
// Cosines and sines of rotary position embedding (arXiv 2104.09864), with its scalings. Computed in
// double precision, kept for all positions seen so far.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/job.h"
#include "core/graph.h"

namespace bitloom {

class Variant;

// Angle per position of each pair, and the factor on cosines and sines. `factors` divides the
// frequencies; empty: all ones.
struct RotationSpeeds {
  std::vector<double> speeds;  // rotated / 2
  double magnitude = 1;
};
RotationSpeeds rotationSpeeds(const RopeParameters& rope, const std::vector<float>& factors);

class RotationTable {
 public:
  explicit RotationTable(RotationSpeeds speeds) : m_speeds(std::move(speeds)) {}

  size_t pairs() const { return m_speeds.speeds.size(); }
  void reach(uint32_t positions);  // computes what [0, positions) lacks
  const float* cosines(uint32_t position) const { return &m_cosines[position * pairs()]; }
  const float* sines(uint32_t position) const { return &m_sines[position * pairs()]; }

 private:
  RotationSpeeds m_speeds;
  std::vector<float> m_cosines;  // positions × pairs
  std::vector<float> m_sines;
};

// The tables of a graph's Rope ops; ops of equal parameters share one.
class Rotations {
 public:
  explicit Rotations(const Variant& variant);  // borrowed

  // Of one op of the variant's graph, good for positions [0, positions).
  Result<const RotationTable*> tableOf(const Op& op, uint32_t positions, JobContext& job);

 private:
  Result<RotationTable*> make(const RopeParameters& rope, JobContext& job);

  const Variant& m_variant;
  std::map<std::string, RotationTable> m_tables;  // by parameters
  std::vector<RotationTable*> m_tableOf;          // by op; null until it is needed
};

}  // namespace bitloom
