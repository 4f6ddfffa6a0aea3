// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocators/knapsack/problem.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <map>
#include <sstream>
#include <unordered_map>

#include "core/io/gguf_layout.h"
#include "core/pooling.h"

namespace bitloom {
namespace {

struct Known {
  const Cell* cell;
  double factor;  // of its value, by pooling
};
using CellIndex = std::unordered_map<std::string, Known>;

std::string cellKey(std::string_view tensor, std::string_view codec) {
  return strCat(tensor, "\n", codec);
}

CellIndex indexCells(const Sensitivity* sensitivity) {
  CellIndex index;
  if (!sensitivity) return index;
  const std::vector<double> factors = pooledFactors(*sensitivity);
  for (size_t i = 0; i < factors.size(); ++i) {
    const Cell& cell = sensitivity->cells[i];
    if (std::isfinite(cell.value)) index[cellKey(cell.tensor, cell.codec)] = {&cell, factors[i]};
  }
  return index;
}

// The last pin that matches wins, as in a recipe.
Result<const Codec*> pinOf(const AllocationRequest& request, std::string_view tensor) {
  const Codec* codec = nullptr;
  for (const auto& [pattern, name] : request.pins) {
    const Codec* pinned = findCodec(name);
    if (!pinned) {
      return makeError(ErrorCode::InvalidArgument, "The pin ", pattern, "=", name,
                       " names a codec that does not exist.");
    }
    if (globMatch(pattern, tensor)) codec = pinned;
  }
  return codec;
}

// Turns the members of one item into options.
class ItemBuilder {
 public:
  ItemBuilder(const Model& model, const RuntimeProfile& profile, const CellIndex* cells)
      : m_model(model), m_profile(profile), m_alignment(alignmentOf(model)), m_cells(cells) {}

  // Appends an option for `requested`, or finds the one that comes to the same; kNoOption when a
  // member has no cell and `needsCells`.
  size_t add(AllocationItem& item, const Codec* requested, bool needsCells) const {
    AllocationOption option{requested, 0, 0, {}};
    std::vector<const Codec*> effective;
    for (const size_t t : item.tensors) {
      const Tensor& tensor = m_model.tensors()[t];
      const Codec* codec = effectiveCodec(requested, tensor.rowLength());
      effective.push_back(codec);
      option.bytes += tensorShare(tensor, *codec, m_profile, m_alignment);
      if (tensor.codec == codec || !m_cells) continue;  // what is copied does no damage
      const auto cell = m_cells->find(cellKey(tensor.name, codec->name));
      if (cell == m_cells->end()) {
        if (needsCells) return kNoOption;
        continue;
      }
      addDamage(option, cell->second);
    }
    for (size_t o = 0; o < item.options.size(); ++o) {
      if (effectiveOf(item, *item.options[o].codec) == effective) return o;
    }
    if (item.tensors.size() == 1) option.codec = effective.front();
    item.options.push_back(option);
    return item.options.size() - 1;
  }

 private:
  std::vector<const Codec*> effectiveOf(const AllocationItem& item, const Codec& codec) const {
    std::vector<const Codec*> effective;
    for (const size_t t : item.tensors) {
      effective.push_back(effectiveCodec(&codec, m_model.tensors()[t].rowLength()));
    }
    return effective;
  }

  // Members of a group are coded together: their samples add up.
  static void addDamage(AllocationOption& option, const Known& known) {
    const std::vector<float>& samples = known.cell->samples;
    option.damage += known.cell->value * known.factor;
    option.samples.resize(samples.size());
    const float scale = float(std::sqrt(known.factor));
    for (size_t j = 0; j < samples.size(); ++j) option.samples[j] += scale * samples[j];
  }

  const Model& m_model;
  const RuntimeProfile& m_profile;
  uint64_t m_alignment;
  const CellIndex* m_cells;  // null: sizes only
};

std::vector<AllocationItem> groupTensors(const Model& model, const Graph& graph, bool fuse) {
  std::vector<AllocationItem> items;
  std::map<std::string, size_t> groups;
  for (size_t t = 0; t < model.tensors().size(); ++t) {
    const Tensor& tensor = model.tensors()[t];
    if (!isQuantizable(tensor)) continue;
    const std::string group = fuse && t < graph.parts.size() ? graph.parts[t].group : "";
    const auto known = group.empty() ? groups.end() : groups.find(group);
    if (known != groups.end()) {
      items[known->second].tensors.push_back(t);
      continue;
    }
    if (!group.empty()) groups[group] = items.size();
    const int block = t < graph.parts.size() ? graph.parts[t].block : kNone;
    items.push_back({group.empty() ? tensor.name : group, {t}, {}, block});
  }
  return items;
}

// The codec that pins give an item, or null. Members of a group follow the one that is pinned.
Result<const Codec*> itemPin(const Model& model, const AllocationRequest& request,
                             const AllocationItem& item) {
  const Codec* pinned = nullptr;
  for (const size_t t : item.tensors) {
    TRY(const Codec* own, pinOf(request, model.tensors()[t].name));
    if (own && pinned && own != pinned) {
      return makeError(ErrorCode::InvalidArgument, "The tensors of ", item.name, " are pinned to ",
                       pinned->name, " and ", own->name, ", but must share one codec.");
    }
    if (own) pinned = own;
  }
  return pinned;
}

// Bytes that do not depend on any item, from the layout of one complete choice.
Result<uint64_t> fixedBytesOf(const Problem& problem, const Model& model,
                              const AllocationRequest& request) {
  const std::vector<size_t> first(problem.items.size(), 0);
  TRY(const Plan plan, resolve(recipeFor(problem, model, request, first, ""), model));
  TRY(const FileLayout layout, layoutOf(model, plan));
  uint64_t bytes = layout.headerBytes;
  for (const PlacedTensor& tensor : layout.tensors)
    bytes += roundUp(tensor.bytes, layout.alignment);
  for (const AllocationItem& item : problem.items) bytes -= item.options.front().bytes;
  return bytes;
}

}  // namespace

uint64_t Problem::fileBytes(uint64_t itemBytes) const {
  return roundUp(fixedBytes + itemBytes, alignment);
}

uint64_t Problem::budget(uint64_t target) const {
  const uint64_t whole = target - target % alignment;
  return whole > fixedBytes ? whole - fixedBytes : 0;
}

Result<Problem> makeProblem(const Model& model, const Graph& graph,
                            const AllocationRequest& request, const Sensitivity* sensitivity) {
  const RuntimeProfile* profile = findProfile(request.profile);
  if (!profile) {
    return makeError(ErrorCode::InvalidArgument, "There is no runtime profile named \"",
                     request.profile, "\".");
  }
  if (request.codecs.empty()) {
    return makeError(ErrorCode::InvalidArgument, "There are no candidate codecs to choose from.");
  }
  Problem problem;
  problem.alignment = alignmentOf(model);
  problem.items = groupTensors(model, graph, request.fuseGroups);
  const CellIndex cells = indexCells(sensitivity);
  const ItemBuilder builder(model, *profile, sensitivity ? &cells : nullptr);
  for (AllocationItem& item : problem.items) {
    TRY(const Codec* pin, itemPin(model, request, item));
    std::vector<size_t> optionOf;
    if (pin) builder.add(item, pin, false);
    for (const Codec* codec : request.codecs) {
      optionOf.push_back(pin ? 0 : builder.add(item, codec, sensitivity != nullptr));
    }
    if (item.options.empty()) {
      return makeError(ErrorCode::NotFound, "The scan has no cell of ", item.name,
                       " for any of the candidate codecs.");
    }
    problem.optionOf.push_back(std::move(optionOf));
    problem.pinned.push_back(pin != nullptr);
  }
  TRY(problem.fixedBytes, fixedBytesOf(problem, model, request));
  return problem;
}

Recipe recipeFor(const Problem& problem, const Model& model, const AllocationRequest& request,
                 const std::vector<size_t>& options, const std::string& why) {
  Recipe recipe;
  recipe.profile = request.profile;
  for (size_t i = 0; i < problem.items.size(); ++i) {
    const AllocationItem& item = problem.items[i];
    const std::string codec(item.options[options[i]].codec->name);
    for (const size_t t : item.tensors) {
      recipe.rules.push_back({model.tensors()[t].name,
                              codec,
                              "nearest",
                              {},
                              problem.pinned[i] ? "pinned" : why,
                              problem.pinned[i]});
    }
  }
  for (const auto& [pattern, codec] : request.pins) {
    recipe.rules.push_back({pattern, codec, "nearest", {}, "pinned", true});
  }
  return recipe;
}

namespace {

std::string perMegabyte(double lambda) {
  std::ostringstream text;
  text << std::setprecision(2) << lambda * 1e6;
  return text.str();
}

}  // namespace

Result<const Allocator*> allocatorOf(const AllocationRequest& request) {
  const Allocator* allocator = findAllocator(request.allocator);
  if (allocator == nullptr) {
    return makeError(ErrorCode::InvalidArgument, "There is no allocator named \"",
                     request.allocator, "\".");
  }
  return allocator;
}

Result<Solution> solutionOf(const Problem& problem, const Model& model,
                            const Sensitivity& sensitivity, const AllocationRequest& request,
                            const Allocation& allocation, const std::string& name) {
  Solution solution;
  solution.recipe = recipeFor(problem, model, request, allocation.option,
                              strCat("solver, λ = ", perMegabyte(allocation.lambda), " per MB"));
  solution.recipe.name = name;
  // What was measured with a method is encoded with it.
  for (Rule& rule : solution.recipe.rules) rule.method = sensitivity.method;
  TRY(solution.plan, resolve(solution.recipe, model));
  solution.predicted = predict(model, solution.plan, sensitivity);
  return solution;
}

}  // namespace bitloom
