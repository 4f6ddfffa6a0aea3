// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/device_split.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

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

  // Options of the part's items; nothing when it does not fit. `weightBytes` is set on success.
  Result<std::optional<Allocation>> solvePart(const Piece& part, uint64_t sharedBytes,
                                              std::vector<AllocationItem>& items) {
    uint64_t least = heldBytes(part, sharedBytes);
    uint64_t taken = least;
    items.clear();
    for (size_t place = part.first; place < part.end; ++place) {
      taken += m_places[place].fixedBytes + m_places[place].cacheBytes;
      least += m_places[place].leastBytes;
      for (const size_t item : m_places[place].items) {
        if (item == m_shared) {
          least -= smallest(m_problem.items[item]);
        } else {
          items.push_back(m_problem.items[item]);
        }
      }
    }
    const uint64_t memory = m_devices[part.device].bytes;
    if (least > memory) return std::optional<Allocation>();
    if (items.empty()) return std::optional<Allocation>(Allocation{});
    TRY(Allocation found, m_allocator.solve({.items = items, .budget = memory - taken}, m_job));
    return std::optional<Allocation>(std::move(found));
  }

  // Of the shared item, on the part's device.
  uint64_t heldBytes(const Piece& part, uint64_t sharedBytes) const {
    const bool isEnd = part.device == 0 || part.device + 1 == m_devices.size();
    return isEnd ? sharedBytes : 0;
  }

  const std::vector<Place>& places() const { return m_places; }

 private:
  // Least damage of the first d devices with the first p places, one device after the other.
  Result<Whole> bestParts(uint64_t sharedBytes) {
    const size_t count = m_places.size();
    const size_t blocksEnd = count - 1;  // of places; the head comes after
    std::vector<double> before(count + 1, kNever);
    before[0] = 0;
    std::vector<std::vector<size_t>> from(m_devices.size(), std::vector<size_t>(count + 1, 0));
    for (size_t d = 0; d < m_devices.size(); ++d) {
      const bool last = d + 1 == m_devices.size();
      std::vector<double> after(count + 1, kNever);
      for (size_t end = last ? count : 1; end <= (last ? count : blocksEnd); ++end) {
        for (size_t first = d == 0 ? 0 : 1; first <= (d == 0 ? 0 : std::min(end, blocksEnd));
             ++first) {
          if (before[first] == kNever) continue;
          TRY(const auto found, solvePart({d, first, end}, sharedBytes, m_items));
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
                               std::span<const DeviceMemory> devices, uint32_t contextLength,
                               JobContext& job) {
  CHECK(!devices.empty());
  TRY(const Allocator* allocator, allocatorOf(request));
  TRY(const Problem problem, makeProblem(model, graph, request, &sensitivity));
  Splitter splitter(problem, placesOf(model, graph, problem, contextLength), devices, *allocator,
                    job);
  std::optional<size_t> shared;
  if (graph.tiedHead && devices.size() > 1 && !splitter.places()[0].items.empty()) {
    shared = splitter.places()[0].items.front();
  }
  TRY(const Whole best, splitter.best(shared));
  if (best.damage == kNever) return nothingFits(splitter.places(), devices, contextLength);

  DeviceSplit split;
  Allocation all{.option = std::vector<size_t>(problem.items.size(), 0)};
  if (best.shared) all.option[*shared] = *best.shared;
  const uint64_t sharedBytes = best.shared ? problem.items[*shared].options[*best.shared].bytes : 0;
  for (const Piece& part : best.parts) {
    std::vector<AllocationItem> items;
    TRY(const auto found, splitter.solvePart(part, sharedBytes, items));
    CHECK(found.has_value());
    DeviceShare share{.firstBlock = std::clamp(int(part.first) - 1, 0, int(graph.blocks)),
                      .endBlock = std::clamp(int(part.end) - 1, 0, int(graph.blocks))};
    share.weightBytes = found->bytes + splitter.heldBytes(part, sharedBytes);
    size_t next = 0;
    for (size_t place = part.first; place < part.end; ++place) {
      share.weightBytes += splitter.places()[place].fixedBytes;
      share.cacheBytes += splitter.places()[place].cacheBytes;
      for (const size_t item : splitter.places()[place].items) {
        if (item != shared) all.option[item] = found->option[next++];
      }
    }
    all.lambda = std::max(all.lambda, found->lambda);
    split.shares.push_back(share);
  }
  TRY(split.solution, solutionOf(problem, model, sensitivity, request, all, nameOf(devices)));
  return split;
}

}  // namespace bitloom
