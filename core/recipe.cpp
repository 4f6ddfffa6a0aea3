// SPDX-License-Identifier: GPL-3.0-or-later
// Recipe → Plan. For each tensor the last rule that matches wins. Rules whose pattern is an exact
// name (drags, pins, the solver's) are found through a table; only real globs are tried one by one.
#include "core/recipe.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "core/base/strings.h"
#include "core/io/gguf_layout.h"
#include "core/io/sha256.h"

namespace bitloom {
namespace {

// Parts of names of 2-D tensors that runtimes read as floats: norms, routers, position tables and
// the small convolutions of state-space layers.
constexpr std::array<std::string_view, 9> kNeverQuantized = {
    "_norm.",      "ffn_gate_inp", "position_embd", "pos_embd",      "token_types",
    "rope_factor", "rope_freqs",   "ssm_conv1d",    "shortconv.conv"};

bool isNamedQuantizable(const Tensor& tensor) {
  if (tensor.dimensions < 2 || !tensor.name.ends_with(".weight")) return false;
  return std::none_of(kNeverQuantized.begin(), kNeverQuantized.end(), [&](std::string_view part) {
    return tensor.name.find(part) != std::string::npos;
  });
}

class Rules {
 public:
  explicit Rules(const std::vector<Rule>& rules) : m_rules(rules) {
    for (size_t i = 0; i < rules.size(); ++i) {
      if (rules[i].pattern.find_first_of("*?") == std::string::npos) {
        m_exact[rules[i].pattern] = i;
      } else {
        m_globs.push_back(i);
      }
    }
  }

  const Rule* match(std::string_view name) const {
    const auto exact = m_exact.find(name);
    const Rule* rule = exact == m_exact.end() ? nullptr : &m_rules[exact->second];
    for (auto glob = m_globs.rbegin(); glob != m_globs.rend(); ++glob) {
      if (rule && *glob < exact->second) break;
      if (globMatch(m_rules[*glob].pattern, name)) return &m_rules[*glob];
    }
    return rule;
  }

 private:
  const std::vector<Rule>& m_rules;
  std::unordered_map<std::string_view, size_t> m_exact;
  std::vector<size_t> m_globs;
};

// The shortest row that the codec holds: every length it holds is a multiple of it.
uint64_t rowMultiple(const Codec& codec) {
  constexpr uint64_t kLongest = 4096;
  for (uint64_t n = 1; n < kLongest; ++n) {
    if (codec.rowBytes(n) != 0) return n;
  }
  return kLongest;
}

std::string whyKept(const Tensor& tensor) {
  if (tensor.dimensions < 2) return strCat("1-D tensors stay as they are: ", tensor.type);
  if (!tensor.name.ends_with(".weight")) return strCat("not a weight: kept as ", tensor.type);
  return strCat("norms, routers and position tables stay as they are: ", tensor.type);
}

Result<void> applyRule(const Rule& rule, const Tensor& tensor, Choice& choice) {
  const Codec* requested = findCodec(rule.codec);
  const Method* method = findMethod(rule.method);
  if (!requested || !method) {
    return makeError(
        ErrorCode::InvalidArgument, "Rule \"", rule.pattern, "\" asks for ",
        requested ? strCat("the method \"", rule.method) : strCat("the codec \"", rule.codec),
        "\", which does not exist.");
  }
  choice.pinned = rule.pinned;
  if (requested == tensor.codec || rule.codec == tensor.type) {
    choice.reason = strCat("already ", tensor.type, ": copied unchanged");
    return {};
  }
  if (!tensor.codec) {
    return makeError(ErrorCode::InvalidArgument, tensor.name, " is stored as ", tensor.type,
                     ", which this version cannot decode, so it cannot become ", rule.codec, ".");
  }
  choice.requested = requested;
  choice.effective = effectiveCodec(requested, tensor.rowLength());
  choice.method = method;
  choice.options = rule.options;
  if (choice.effective != requested) {
    choice.reason =
        strCat("rows of ", tensor.rowLength(), " are not a multiple of ", rowMultiple(*requested),
               ": ", choice.effective->name, " instead of ", requested->name);
  } else {
    choice.reason = rule.why.empty() ? strCat("rule ", rule.pattern) : rule.why;
  }
  return {};
}

Result<Choice> choose(const Tensor& tensor, size_t index, const Rules& rules) {
  Choice choice;
  choice.tensor = index;
  const Rule* rule = rules.match(tensor.name);
  if (!isNamedQuantizable(tensor)) {
    choice.reason = whyKept(tensor);
  } else if (!rule) {
    choice.reason = strCat("no rule: kept as ", tensor.type);
  } else {
    TRY(applyRule(*rule, tensor, choice));
  }
  choice.bytes = choice.effective ? choice.effective->rowBytes(tensor.rowLength()) * tensor.rows()
                                  : tensor.bytes.size();
  return choice;
}

std::string planHash(const Plan& plan, const Model& model) {
  Sha256 hash;
  hash.update(strCat(model.fingerprint(), "\n", plan.profile, "\n"));
  for (const Choice& choice : plan.tensors) {
    const Tensor& tensor = model.tensors()[choice.tensor];
    hash.update(tensor.name);
    if (choice.effective) {
      hash.update(strCat("\t", choice.effective->name, "\t", choice.method->name));
      for (const auto& [key, value] : choice.options) hash.update(strCat("\t", key, "=", value));
    }
    hash.update("\n");
  }
  return hash.hex();
}

}  // namespace

bool isQuantizable(const Tensor& tensor) { return tensor.codec && isNamedQuantizable(tensor); }

Recipe uniformRecipe(const Codec& codec) {
  Recipe recipe;
  recipe.name = strCat("uniform ", codec.name);
  recipe.rules.push_back({"*.weight", std::string(codec.name), "nearest", {}, {}, false});
  return recipe;
}

Result<Plan> resolve(const Recipe& recipe, const Model& model) {
  Plan plan;
  plan.recipeJson = toJson(recipe);
  plan.profile = recipe.profile;
  const Rules rules(recipe.rules);
  for (size_t i = 0; i < model.tensors().size(); ++i) {
    TRY(Choice choice, choose(model.tensors()[i], i, rules));
    plan.tensorBytes += choice.bytes;
    plan.tensors.push_back(std::move(choice));
  }
  TRY(const FileLayout layout, layoutOf(model, plan));
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    if (layout.tensors[i].bitloomOnly) {
      plan.tensors[i].reason += strCat("; Bitloom only: ", recipe.profile, " has no number for it");
    }
  }
  plan.fileBytes = layout.fileBytes;
  const uint64_t weights = model.weights();
  plan.bitsPerWeight = weights ? double(plan.tensorBytes) * 8 / double(weights) : 0;
  plan.hash = planHash(plan, model);
  return plan;
}

}  // namespace bitloom
