// SPDX-License-Identifier: GPL-3.0-or-later
// How often do the 95 % intervals of `eval` hold the truth? Takes what `eval --tokens-to F.csv`
// wrote for many windows of a long text, calls their mean the truth, draws sets of n windows and
// counts the intervals that hold it: drawn at random, as neighbours (the first windows of some
// text), and spread over the text (`eval --spread`).
//   build/release/app/coverage F.csv
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "core/statistics.h"

namespace bitloom {
namespace {

constexpr int kDraws = 20000;
constexpr size_t kWindowColumn = 1;

using Samples = std::vector<double>;

// Mean of each window, by column name; empty when the file is not such a table.
std::map<std::string, Samples> windowMeans(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  std::vector<std::string> names;
  std::istringstream head(line);
  for (std::string name; std::getline(head, name, ',');) names.push_back(name);
  std::map<std::string, std::map<long, std::pair<double, long>>> sums;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::vector<double> values;
    for (std::string field; std::getline(fields, field, ',');) {
      values.push_back(std::strtod(field.c_str(), nullptr));
    }
    if (values.size() != names.size() || values.size() <= kWindowColumn) return {};
    for (size_t c = 3; c < values.size(); ++c) {
      auto& [sum, count] = sums[names[c]][std::lround(values[kWindowColumn])];
      sum += values[c];
      ++count;
    }
  }
  std::map<std::string, Samples> means;
  for (const auto& [name, windows] : sums) {
    for (const auto& [window, sum] : windows) {
      means[name].push_back(sum.first / double(sum.second));
    }
  }
  return means;
}

double meanOf(const Samples& samples) { return estimate(samples).mean; }

// Indices of n of `total` windows.
using Draw = std::function<void(std::vector<size_t>& picked, std::mt19937& random)>;

Draw atRandom(size_t total) {
  return [total](std::vector<size_t>& picked, std::mt19937& random) {
    for (size_t& index : picked) index = random() % total;
  };
}
Draw neighbours(size_t total) {
  return [total](std::vector<size_t>& picked, std::mt19937& random) {
    const size_t first = random() % (total - picked.size() + 1);
    for (size_t i = 0; i < picked.size(); ++i) picked[i] = first + i;
  };
}
Draw spread(size_t total) {
  return [total](std::vector<size_t>& picked, std::mt19937& random) {
    const double offset = double(random()) / 4294967296.0;
    for (size_t i = 0; i < picked.size(); ++i) {
      picked[i] = size_t((double(i) + offset) * double(total) / double(picked.size()));
    }
  };
}

// Share of draws whose interval holds `truth`.
double coverage(size_t n, const Draw& draw, double truth,
                const std::function<Interval(const std::vector<size_t>&)>& interval) {
  std::mt19937 random(1);
  std::vector<size_t> picked(n);
  int held = 0;
  for (int i = 0; i < kDraws; ++i) {
    draw(picked, random);
    const Interval found = interval(picked);
    held += found.low <= truth && truth <= found.high ? 1 : 0;
  }
  return double(held) / kDraws;
}

Samples take(const Samples& all, const std::vector<size_t>& picked) {
  Samples some;
  for (size_t index : picked) some.push_back(all[index]);
  return some;
}

void report(const std::string& name, size_t total, double truth,
            const std::function<Interval(const std::vector<size_t>&)>& interval) {
  for (size_t n : {8U, 16U, 32U}) {
    if (2 * n > total) continue;
    std::printf("%-24s %4zu  %6.1f %%  %8.1f %%  %6.1f %%\n", name.c_str(), n,
                100 * coverage(n, atRandom(total), truth, interval),
                100 * coverage(n, neighbours(total), truth, interval),
                100 * coverage(n, spread(total), truth, interval));
  }
}

int run(const char* path) {
  const auto columns = windowMeans(path);
  if (columns.empty()) {
    std::fprintf(stderr, "%s: is no table that `eval --tokens-to` wrote.\n", path);
    return 1;
  }
  const size_t total = columns.begin()->second.size();
  std::printf("%s: %zu windows, %d draws of n windows\n\n", path, total, kDraws);
  std::printf("%-24s %4s  %8s  %10s  %8s\n", "95 % interval of", "n", "random", "neighbours",
              "spread");
  for (const auto& [name, samples] : columns) {
    const bool divergence = name.starts_with("kld");
    report(name, total, meanOf(samples), [&](const std::vector<size_t>& picked) {
      const Samples some = take(samples, picked);
      return divergence ? divergenceInterval95(some) : meanInterval95(some);
    });
  }
  if (!columns.contains("kld") || !columns.contains("kld_2")) return 0;
  const Samples& first = columns.at("kld");
  const Samples& second = columns.at("kld_2");
  report("kld ÷ kld_2, paired", total, meanOf(first) / meanOf(second),
         [&](const std::vector<size_t>& picked) {
           const Ratio ratio = pairedRatio(take(first, picked), take(second, picked));
           return Interval{ratio.low, ratio.high};
         });
  report("kld − kld_2, paired", total, meanOf(first) - meanOf(second),
         [&](const std::vector<size_t>& picked) {
           Samples differences = take(first, picked);
           for (size_t i = 0; i < picked.size(); ++i) differences[i] -= second[picked[i]];
           return meanInterval95(differences);
         });
  return 0;
}

}  // namespace
}  // namespace bitloom

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: coverage F.csv\n");
    return 2;
  }
  return bitloom::run(argv[1]);
}
