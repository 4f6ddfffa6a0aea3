// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/device_split.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <span>

#include "core/allocators/knapsack/problem.h"
#include "core/inference/kv_cache.h"

namespace bitloom {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// What has to be somewhere, by place: 0 is before the blocks, block + 1, and last the head.
struct Place {
  std::vector<size_t> items;
  uint64_t fixedBytes = 0;  // tensors that no item changes
  uint64_t cacheBytes = 0;
  uint64_t leastBytes = 0;  // fixed, cache, and the smallest options
};

uint64_t smallest(const AllocationItem& item) {
  uint64_t bytes = item.options.front().bytes;
  for (const AllocationOption& option : item.options) bytes = std::min(bytes, option.bytes);
  return bytes;
}

size_t placeOf(int block) { return size_t(block + 1); }

std::vector<Place> placesOf(const Model& model, const Graph& graph, const Problem& problem,
                            uint32_t contextLength) {
  std::vector<Place> places(graph.blocks + 2);
  std::vector<bool> inItem(model.tensors().size(), false);
  for (size_t i = 0; i < problem.items.size(); ++i) {
    const AllocationItem& item = problem.items[i];
    places[placeOf(item.block)].items.push_back(i);
    for (const size_t tensor : item.tensors) inItem[tensor] = true;
  }
  for (size_t t = 0; t < inItem.size(); ++t) {
    if (inItem[t]) continue;
    places[placeOf(graph.parts[t].block)].fixedBytes += model.tensors()[t].bytes.size();
  }
  for (uint32_t block = 0; block < graph.blocks; ++block) {
    places[placeOf(int(block))].cacheBytes =
        KvCache::bytesFor(graph, contextLength, KvFormat::F16, int(block));
  }
  for (Place& place : places) {
    place.leastBytes = place.fixedBytes + place.cacheBytes;
    for (const size_t item : place.items) place.leastBytes += smallest(problem.items[item]);
  }
  return places;
}

// One device's part: places [first, end).
struct Piece {
  size_t device = 0;
  size_t first = 0;
  size_t end = 0;
};

struct Whole {
  double damage = kNever;
  std::vector<Piece> parts;
  std::optional<size_t> shared;  // the option of the item that lies on both ends
};

class Splitter {
 public:
  Splitter(const Problem& problem, std::vector<Place> places, std::span<const DeviceMemory> devices,
           const Allocator& allocator, JobContext& job)
      : m_problem(problem),
        m_places(std::move(places)),
        m_devices(devices),
        m_allocator(allocator),
        m_job(job) {}

  // `shared`: the item of a tied embedding when there are several devices.
  Result<Whole> best(std::optional<size_t> shared) {
    m_shared = shared;
    if (!shared) return bestParts(0);
    Whole best;
    const auto& options = m_problem.items[*shared].options;
    for (size_t o = 0; o < options.size(); ++o) {
      TRY(Whole whole, bestParts(options[o].bytes));
      whole.damage += options[o].damage;
      if (whole.damage < best.damage) {
        best = std::move(whole);
        best.shared = o;
      }
    }
    return best;
  }

  // Options of the part's items but the shared one, in order; nothing when it does not fit.
  Result<std::optional<Allocation>> solvePart(const Piece& part, uint64_t sharedBytes) {
    uint64_t least = heldBytes(part, sharedBytes);
    uint64_t taken = least;
    m_items.clear();
    for (size_t place = part.first; place < part.end; ++place) {
      taken += m_places[place].fixedBytes + m_places[place].cacheBytes;
      least += m_places[place].leastBytes;
      for (const size_t item : m_places[place].items) {
        if (item == m_shared) {
          least -= smallest(m_problem.items[item]);
        } else {
          m_items.push_back(m_problem.items[item]);
        }
      }
    }
    const uint64_t memory = m_devices[part.device].bytes;
    if (least > memory) return std::optional<Allocation>();
    if (m_items.empty()) return std::optional<Allocation>(Allocation{});
    TRY(Allocation found, m_allocator.solve({.items = m_items, .budget = memory - taken}, m_job));
    return std::optional<Allocation>(std::move(found));
  }

  // What a solved part holds; its options go to `chosen`, by item.
  DeviceShare settle(const Piece& part, const Allocation& solved, uint64_t sharedBytes,
                     std::vector<size_t>& chosen) const {
    const int blocks = int(m_places.size()) - 2;
    DeviceShare share{.firstBlock = std::clamp(int(part.first) - 1, 0, blocks),
                      .endBlock = std::clamp(int(part.end) - 1, 0, blocks),
                      .weightBytes = solved.bytes + heldBytes(part, sharedBytes)};
    size_t next = 0;
    for (size_t place = part.first; place < part.end; ++place) {
      share.weightBytes += m_places[place].fixedBytes;
      share.cacheBytes += m_places[place].cacheBytes;
      for (const size_t item : m_places[place].items) {
        if (item != m_shared) chosen[item] = solved.option[next++];
      }
    }
    return share;
  }

  const std::vector<Place>& places() const { return m_places; }

 private:
  // Of the shared item, on the part's device.
  uint64_t heldBytes(const Piece& part, uint64_t sharedBytes) const {
    const bool isEnd = part.device == 0 || part.device + 1 == m_devices.size();
    return isEnd ? sharedBytes : 0;
  }

  // The first device begins with what is before the blocks, and only the last one has the head.
  bool mayHold(const Piece& part) const {
    return (part.first == 0) == (part.device == 0) &&
           (part.end == m_places.size()) == (part.device + 1 == m_devices.size());
  }

  // Least damage of the first d devices with the first p places, one device after the other.
  Result<Whole> bestParts(uint64_t sharedBytes) {
    const size_t count = m_places.size();
    std::vector<double> before(count + 1, kNever);
    before[0] = 0;
    std::vector<std::vector<size_t>> from(m_devices.size(), std::vector<size_t>(count + 1, 0));
    for (size_t d = 0; d < m_devices.size(); ++d) {
      std::vector<double> after(count + 1, kNever);
      for (size_t end = 1; end <= count; ++end) {
        for (size_t first = 0; first <= end && first < count; ++first) {
          if (before[first] == kNever || !mayHold({d, first, end})) continue;
          TRY(const auto found, solvePart({d, first, end}, sharedBytes));
          if (!found || before[first] + found->damage >= after[end]) continue;
          after[end] = before[first] + found->damage;
          from[d][end] = first;
        }
      }
      before = std::move(after);
    }
    Whole whole{.damage = before[count], .parts = {}, .shared = {}};
    if (whole.damage == kNever) return whole;
    for (size_t d = m_devices.size(), end = count; d-- > 0; end = from[d][end]) {
      whole.parts.insert(whole.parts.begin(), {d, from[d][end], end});
    }
    return whole;
  }

  const Problem& m_problem;
  std::vector<Place> m_places;
  std::span<const DeviceMemory> m_devices;
  const Allocator& m_allocator;
  JobContext& m_job;
  std::optional<size_t> m_shared;
  std::vector<AllocationItem> m_items;  // of one part
};

std::string nameOf(std::span<const DeviceMemory> devices) {
  std::string name = "mix for memory of ";
  for (size_t d = 0; d < devices.size(); ++d) {
    name += strCat(d == 0 ? "" : " + ", binarySize(devices[d].bytes));
  }
  return name;
}

Error nothingFits(const std::vector<Place>& places, std::span<const DeviceMemory> devices,
                  uint32_t contextLength) {
  uint64_t weights = 0, cache = 0, memory = 0;
  for (const Place& place : places) {
    weights += place.leastBytes - place.cacheBytes;
    cache += place.cacheBytes;
  }
  for (const DeviceMemory& device : devices) memory += device.bytes;
  return makeError(ErrorCode::InvalidArgument, "The model does not fit ", binarySize(memory),
                   devices.size() > 1 ? " in these parts" : "", ": it needs at least ",
                   binarySize(weights), " of weights and ", binarySize(cache),
                   " of key-value cache for ", contextLength, " tokens.");
}

}  // namespace

Result<DeviceSplit> solveSplit(const Model& model, const Graph& graph,
                               const Sensitivity& sensitivity, const AllocationRequest& request,
                               const MemoryBudget& budget, JobContext& job) {
  const std::vector<DeviceMemory>& devices = budget.devices;
  CHECK(!devices.empty());
  TRY(const Allocator* allocator, allocatorOf(request));
  TRY(const Problem problem, makeProblem(model, graph, request, &sensitivity));
  Splitter splitter(problem, placesOf(model, graph, problem, budget.contextLength), devices,
                    *allocator, job);
  std::optional<size_t> shared;
  if (graph.tiedHead && devices.size() > 1 && !splitter.places()[0].items.empty()) {
    shared = splitter.places()[0].items.front();
  }
  TRY(const Whole best, splitter.best(shared));
  if (best.damage == kNever) return nothingFits(splitter.places(), devices, budget.contextLength);

  DeviceSplit split;
  Allocation all{.option = std::vector<size_t>(problem.items.size(), 0)};
  if (best.shared) all.option[*shared] = *best.shared;
  const uint64_t sharedBytes = best.shared ? problem.items[*shared].options[*best.shared].bytes : 0;
  for (const Piece& part : best.parts) {
    TRY(const auto solved, splitter.solvePart(part, sharedBytes));
    CHECK(solved.has_value());
    split.shares.push_back(splitter.settle(part, *solved, sharedBytes, all.option));
    all.lambda = std::max(all.lambda, solved->lambda);
  }
  TRY(split.solution, solutionOf(problem, model, sensitivity, request, all, nameOf(devices)));
  return split;
}

}  // namespace bitloom
