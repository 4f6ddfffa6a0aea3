// SPDX-License-Identifier: GPL-3.0-or-later
// Rounds of measuring around the knapsack's answer. A scan tells what a codec does to a tensor in
// the source; in a plan all the others are coded too. So each tensor alone is moved one hull step
// up and one down in the plan, these differences take the cells' place, and the problem of such
// steps is solved again. The outcome is kept when it measures better; else half of its moves, the
// most promising ones, are tried. Two measurements for each tensor and round.
#include <algorithm>

#include "core/allocators/knapsack/relaxation.h"

namespace bitloom {
namespace {

constexpr int kRounds = 3;
constexpr int kHalvings = 3;

class Refinement {
 public:
  Refinement(const AllocationTask& task, JobContext& job) : m_task(task), m_job(job) {
    for (const AllocationItem& item : task.items) m_hulls.push_back(lowerHull(item.options));
  }

  Result<Allocation> run() {
    TRY(Allocation allocation, solveRelaxed(m_task.items, m_task.budget, m_job));
    m_plan = allocation.option;
    const uint64_t round = 2 * m_task.items.size() + 1 + kHalvings;
    m_job.begin(1 + kRounds * round, "plans");
    TRY(m_damage, measure(m_plan));
    for (int i = 0; i < kRounds; ++i) {
      TRY(measureSteps());
      TRY(const bool better, improve());
      if (!better) break;
    }
    allocation.option = std::move(m_plan);
    sumUp(m_task.items, allocation);
    return allocation;
  }

 private:
  // One item's options in a round: the plan's, and its neighbours on the hull.
  struct Steps {
    std::vector<size_t> options;  // indices in the item; the plan's first
    std::vector<double> changes;  // of the measured damage; 0 for the plan's
  };

  Result<double> measure(const std::vector<size_t>& options) {
    return measureChoice(m_task, options, m_job);
  }

  Result<void> measureSteps() {
    m_steps.assign(m_task.items.size(), {});
    for (size_t i = 0; i < m_steps.size(); ++i) {
      Steps& steps = m_steps[i];
      steps = {{m_plan[i]}, {0}};
      for (const bool larger : {false, true}) {
        const size_t moved = hullNeighbour(m_task.items[i], m_hulls[i], m_plan[i], larger);
        if (moved == m_plan[i]) {
          m_job.advance();
          continue;
        }
        std::vector<size_t> options = m_plan;
        options[i] = moved;
        TRY(const double damage, measure(options));
        steps.options.push_back(moved);
        steps.changes.push_back(damage - m_damage);
      }
    }
    return {};
  }

  // The best plan of measured steps of the items that may move.
  Result<std::vector<size_t>> solveSteps(const std::vector<bool>& mayMove) {
    std::vector<AllocationItem> items(m_steps.size());
    for (size_t i = 0; i < items.size(); ++i) {
      const Steps& steps = m_steps[i];
      const double least = *std::min_element(steps.changes.begin(), steps.changes.end());
      for (size_t o = 0; o < (mayMove[i] ? steps.options.size() : 1); ++o) {
        AllocationOption option = m_task.items[i].options[steps.options[o]];
        option.damage = steps.changes[o] - least;
        items[i].options.push_back(std::move(option));
      }
    }
    TRY(const Allocation solved, solveRelaxed(items, m_task.budget, m_job));
    std::vector<size_t> options;
    for (size_t i = 0; i < items.size(); ++i) {
      options.push_back(m_steps[i].options[solved.option[i]]);
    }
    return options;
  }

  // Whether a better plan was found, which is the plan then.
  Result<bool> improve() {
    std::vector<bool> mayMove(m_steps.size(), true);
    for (int i = 0; i <= kHalvings; ++i) {
      TRY(std::vector<size_t> options, solveSteps(mayMove));
      if (options == m_plan) return false;
      TRY(const double damage, measure(options));
      if (damage < m_damage) {
        m_damage = damage;
        m_plan = std::move(options);
        return true;
      }
      mayMove = promising(options);
    }
    return false;
  }

  // Of the items that `options` moves, the half that gains most and the half that costs least.
  std::vector<bool> promising(const std::vector<size_t>& options) const {
    std::vector<std::pair<double, size_t>> larger, smaller;
    for (size_t i = 0; i < options.size(); ++i) {
      if (options[i] == m_plan[i]) continue;
      const auto& item = m_task.items[i].options;
      const bool grows = item[options[i]].bytes > item[m_plan[i]].bytes;
      const Steps& steps = m_steps[i];
      const auto at = std::find(steps.options.begin(), steps.options.end(), options[i]);
      (grows ? larger : smaller).emplace_back(steps.changes[size_t(at - steps.options.begin())], i);
    }
    std::vector<bool> result(options.size(), false);
    for (auto* moves : {&larger, &smaller}) {
      std::sort(moves->begin(), moves->end());
      for (size_t i = 0; i < (moves->size() + 1) / 2; ++i) result[(*moves)[i].second] = true;
    }
    return result;
  }

  const AllocationTask& m_task;
  JobContext& m_job;
  std::vector<std::vector<size_t>> m_hulls;
  std::vector<size_t> m_plan;
  double m_damage = 0;  // of the plan, measured
  std::vector<Steps> m_steps;
};

Result<Allocation> refine(const AllocationTask& task, JobContext& job) {
  TRY(wantsMeasuring(task, "refinement"));
  return Refinement(task, job).run();
}

}  // namespace

extern const Allocator allocator_refinement;
const Allocator allocator_refinement{
    "refinement",
    "Starts from the knapsack, measures each tensor one step up and one down in that plan, and "
    "solves again; minutes, and no proxy in it.",
    refine};

}  // namespace bitloom
