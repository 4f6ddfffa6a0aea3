// SPDX-License-Identifier: GPL-3.0-or-later
// Models that other programs have already downloaded: the caches of Hugging Face, LM Studio and
// Ollama, at the places where those programs keep them.
#pragma once
#include <QString>
#include <vector>

namespace bitloom {

struct CachedModel {
  QString title;  // for people: "qwen3:8b"
  QString path;
  QString owner;  // "Ollama"
};

// `home`: the user's folder. At most `limit`, sorted by title. Follows no links out of the caches
// but those of single files.
std::vector<CachedModel> findCachedModels(const QString& home, size_t limit = 40);

}  // namespace bitloom
