// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/pooling.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_map>

#include "core/metric.h"

namespace bitloom {
namespace {

constexpr int kRounds = 30;
constexpr double kSettled = 1e-9;
constexpr size_t kFewest = 3;  // tensors, codecs

struct Entry {
  size_t cell, tensor, codec;
  double logarithm;
  double variance;  // of the logarithm, by chance
};

class Table {
 public:
  explicit Table(const std::vector<Cell>& cells) {
    for (size_t i = 0; i < cells.size(); ++i) {
      const Cell& cell = cells[i];
      if (!(cell.value > 0) || !(cell.error > 0) || cell.samples.empty()) continue;
      m_entries.push_back({i, m_tensors.try_emplace(cell.tensor, m_tensors.size()).first->second,
                           m_codecs.try_emplace(cell.codec, m_codecs.size()).first->second,
                           std::log(cell.value), std::pow(cell.error / cell.value, 2)});
    }
  }

  bool suffices() const { return m_tensors.size() >= kFewest && m_codecs.size() >= kFewest; }

  void apply(std::vector<double>& factors) const {
    const std::vector<double> rest = rests();
    double square = 0;
    double chance = 0;
    for (size_t i = 0; i < m_entries.size(); ++i) {
      square += rest[i] * rest[i];
      chance += m_entries[i].variance;
    }
    const double count = double(m_entries.size());
    const double free = count - double(m_tensors.size() + m_codecs.size() - 1);
    if (!(free > 0)) return;
    const double real = std::max(0.0, square / free - chance / count);
    for (size_t i = 0; i < m_entries.size(); ++i) {
      const double share = real / (real + m_entries[i].variance);
      factors[m_entries[i].cell] = std::exp((share - 1) * rest[i]);
    }
  }

 private:
  // What rows and columns leave, by alternating weighted means.
  std::vector<double> rests() const {
    std::vector<double> tensors(m_tensors.size()), codecs(m_codecs.size());
    for (int round = 0; round < kRounds; ++round) {
      const std::vector<double> before = codecs;
      fit(tensors, codecs, &Entry::tensor, &Entry::codec);
      fit(codecs, tensors, &Entry::codec, &Entry::tensor);
      double change = 0;
      for (size_t i = 0; i < codecs.size(); ++i) {
        change = std::max(change, std::fabs(codecs[i] - before[i]));
      }
      if (change < kSettled) break;
    }
    std::vector<double> rest;
    for (const Entry& entry : m_entries) {
      rest.push_back(entry.logarithm - tensors[entry.tensor] - codecs[entry.codec]);
    }
    return rest;
  }

  void fit(std::vector<double>& own, const std::vector<double>& other, size_t Entry::*mine,
           size_t Entry::*theirs) const {
    std::vector<double> sums(own.size()), weights(own.size());
    for (const Entry& entry : m_entries) {
      const double weight = 1 / entry.variance;
      sums[entry.*mine] += weight * (entry.logarithm - other[entry.*theirs]);
      weights[entry.*mine] += weight;
    }
    for (size_t i = 0; i < own.size(); ++i) own[i] = sums[i] / weights[i];
  }

  std::vector<Entry> m_entries;
  std::unordered_map<std::string_view, size_t> m_tensors, m_codecs;
};

}  // namespace

std::vector<double> pooledFactors(const Sensitivity& sensitivity) {
  std::vector<double> factors(sensitivity.cells.size(), 1.0);
  const Metric* metric = findMetric(sensitivity.metric);
  if (metric == nullptr || !metric->quadratic) return factors;
  const Table table(sensitivity.cells);
  if (table.suffices()) table.apply(factors);
  return factors;
}

}  // namespace bitloom
