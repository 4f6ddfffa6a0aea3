// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/model_caches.h"

#include <QDirIterator>
#include <QFile>
#include <QFileInfo>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <algorithm>
#include <array>

namespace bitloom {
namespace {

constexpr qint64 kManifestLimit = 1 << 20;  // bytes; they are small

void addFiles(const QString& folder, const QString& owner, size_t limit,
              std::vector<CachedModel>& found) {
  QDirIterator files(folder, {"*.gguf"}, QDir::Files, QDirIterator::Subdirectories);
  while (files.hasNext() && found.size() < limit) {
    const QString path = files.next();
    const bool laterPart = path.contains("-of-") && !path.contains("-00001-of-");
    if (!laterPart) found.push_back({QFileInfo(path).completeBaseName(), path, owner});
  }
}

// manifests/<registry>/<library>/<name>/<tag> names the blob that holds the model.
void addOllama(const QString& folder, size_t limit, std::vector<CachedModel>& found) {
  QDirIterator files(folder + "/manifests", QDir::Files, QDirIterator::Subdirectories);
  while (files.hasNext() && found.size() < limit) {
    QFile file(files.next());
    if (file.size() > kManifestLimit || !file.open(QIODevice::ReadOnly)) continue;
    for (const QJsonValue layer :
         QJsonDocument::fromJson(file.readAll()).object()["layers"].toArray()) {
      const QJsonObject object = layer.toObject();
      if (!object["mediaType"].toString().endsWith("image.model")) continue;
      const QString blob = folder + "/blobs/" + object["digest"].toString().replace(':', '-');
      const QString title =
          file.fileName().section('/', -2, -2) + ':' + file.fileName().section('/', -1);
      if (QFileInfo::exists(blob)) found.push_back({title, blob, "Ollama"});
    }
  }
}

}  // namespace

std::vector<CachedModel> findCachedModels(const QString& home, size_t limit) {
  std::vector<CachedModel> found;
  const std::array<std::pair<const char*, const char*>, 3> folders = {
      {{"/.cache/huggingface/hub", "Hugging Face"},
       {"/.lmstudio/models", "LM Studio"},
       {"/.cache/lm-studio/models", "LM Studio"}}};
  for (const auto& [folder, owner] : folders) addFiles(home + folder, owner, limit, found);
  addOllama(home + "/.ollama/models", limit, found);
  std::sort(found.begin(), found.end(), [](const CachedModel& a, const CachedModel& b) {
    return a.title.compare(b.title, Qt::CaseInsensitive) < 0;
  });
  return found;
}

}  // namespace bitloom
