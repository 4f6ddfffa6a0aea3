// SPDX-License-Identifier: GPL-3.0-or-later
// A runtime profile says which numbers a given GGUF reader uses for which codecs. Codecs know no
// numbers; ids 41 … 47 mean different things to different forks (and are told apart by tensor span
// when reading). Source: GGUF specification and the forks' ggml.h (ids), llama.h (file types).
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace bitloom {

struct ProfileType {
  std::string_view codec;  // Bitloom's name
  uint32_t id;             // ggml_type
  uint32_t blockWeights;
  uint32_t blockBytes;
  std::optional<uint32_t> fileType;  // llama_ftype of a file that is mostly this
};

struct RuntimeProfile {
  std::string_view name;  // "mainline", "thetom", "turbo-tan"
  std::string_view title;
  std::string_view loadedBy;  // for people: what loads the file, and what does not
  std::span<const ProfileType> types;

  const ProfileType* find(std::string_view codec) const;  // null: the runtime lacks the type
  const ProfileType* find(uint32_t id) const;
};

std::span<const RuntimeProfile> runtimeProfiles();
const RuntimeProfile* findProfile(std::string_view name);

// A codec without a number in the profile is stored as I8 with a `bitloom.codec.<tensor>` key: a
// file that only Bitloom reads.
constexpr uint32_t kGgmlI8 = 24;

}  // namespace bitloom
