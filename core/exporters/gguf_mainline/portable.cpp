// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/exporters/gguf_mainline/portable.h"

#include <array>
#include <cmath>
#include <set>

namespace bitloom {
namespace {

constexpr double kLeastShare = 0.95;  // of the wanted size; less would be another class of codec

struct Program {
  std::string_view name;
  std::string_view profile;
};

constexpr std::array<Program, 6> kPrograms = {{{"llama.cpp", "mainline"},
                                               {"Ollama", "mainline"},
                                               {"LM Studio", "mainline"},
                                               {"ik_llama.cpp", "mainline"},
                                               {"llama-cpp-turboquant (TheTom)", "thetom"},
                                               {"llama.cpp-tq3 (turbo-tan)", "turbo-tan"}}};

std::string_view storedType(const Choice& choice, const Tensor& tensor) {
  return choice.effective ? choice.effective->name : std::string_view(tensor.type);
}

std::string titleOf(std::string_view type) {
  const Codec* codec = findCodec(type);
  return std::string(codec ? codec->title : type);
}

// The codec of the profile that is nearest in size and not another class; of several, the one of
// least error.
const Codec* nearestIn(const RuntimeProfile& profile, const Codec& wanted, uint64_t rowLength) {
  const double bytes = double(wanted.rowBytes(rowLength));
  const Codec* nearest = nullptr;
  double least = 0;
  for (const Codec* codec : codecs()) {
    const double own = double(codec->rowBytes(rowLength));
    if (own < kLeastShare * bytes || codec->forTrained || !profile.find(codec->name)) continue;
    const double distance = std::fabs(own - bytes);
    const bool wins = !nearest || distance < least ||
                      (distance == least && gaussianError(*codec) < gaussianError(*nearest));
    if (!wins) continue;
    nearest = codec;
    least = distance;
  }
  return nearest;
}

// A rule that gives `tensor` a type of the profile; the method stays what it was.
Result<Rule> portableRule(const Choice& choice, const Tensor& tensor,
                          const RuntimeProfile& profile) {
  const Codec* wanted = choice.effective ? choice.effective : tensor.codec;
  const Codec* nearest =
      wanted && isQuantizable(tensor) ? nearestIn(profile, *wanted, tensor.rowLength()) : nullptr;
  if (!nearest) {
    return makeError(ErrorCode::Unsupported, tensor.name, " is stored as ",
                     storedType(choice, tensor), ", which ", profile.title,
                     " does not know and which cannot be changed.");
  }
  return Rule{tensor.name,
              std::string(nearest->name),
              std::string(choice.method ? choice.method->name : std::string_view("nearest")),
              choice.options,
              strCat(profile.title, " has no ", wanted->title),
              choice.pinned};
}

// Empty when `program` reads every type under the number that the file gives it.
std::string whyRefused(const Program& program, const RuntimeProfile& written,
                       const std::set<std::string_view>& types) {
  const RuntimeProfile* reader = findProfile(program.profile);
  CHECK(reader);
  for (const std::string_view type : types) {
    const ProfileType* known = reader->find(type);
    if (!known) return strCat("it has no ", titleOf(type));
    const ProfileType* number = written.find(type);
    if (number && known->id != number->id) {
      return strCat("it gives ", titleOf(type), " number ", known->id, " instead of ", number->id);
    }
  }
  return {};
}

}  // namespace

Result<ExportCheck> portableTwin(const Recipe& recipe, const Model& model,
                                 std::string_view profileName) {
  const RuntimeProfile* profile = findProfile(profileName);
  CHECK(profile);
  ExportCheck check;
  check.recipe = recipe;
  TRY(const Plan asked, resolve(recipe, model));
  check.recipe.profile = profile->name;
  for (const Choice& choice : asked.tensors) {
    const Tensor& tensor = model.tensors()[choice.tensor];
    const std::string_view type = storedType(choice, tensor);
    if (profile->find(type)) continue;
    TRY(Rule rule, portableRule(choice, tensor, *profile));
    check.changes.push_back(strCat(tensor.name, ": ", type, " → ", rule.codec, ": ", rule.why));
    check.recipe.rules.push_back(std::move(rule));
  }
  TRY(check.plan, resolve(check.recipe, model));
  std::set<std::string_view> types;
  for (const Choice& choice : check.plan.tensors) {
    types.insert(storedType(choice, model.tensors()[choice.tensor]));
  }
  for (const Program& program : kPrograms) {
    const std::string why = whyRefused(program, *profile, types);
    if (why.empty()) {
      check.loads.emplace_back(program.name);
    } else {
      check.refuses.push_back(strCat(program.name, ": ", why));
    }
  }
  return check;
}

Result<QuantizeSummary> writeTwin(const ExportCheck& check, const Model& model,
                                  const Calibration* calibration,
                                  const std::filesystem::path& target, JobContext& job) {
  return quantize(model, check.plan, calibration, target, {}, job);
}

}  // namespace bitloom
