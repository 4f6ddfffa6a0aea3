// SPDX-License-Identifier: GPL-3.0-or-later
// What leaves the window as a file: recipes, quantized models, exports. Each becomes a run.
#include <QDir>
#include <QFileInfo>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>

#include "ui/document_private.h"
#include "ui/format.h"

namespace bitloom {
namespace {

QString asText(std::string_view text) {
  return QString::fromUtf8(text.data(), qsizetype(text.size()));
}

// Keys as in the command line's --json.
std::string resultOf(const QuantizeSummary& summary, const Model& model) {
  QJsonArray tensors;
  for (const Choice& choice : summary.plan.tensors) {
    const auto nameOf = [](const Codec* codec) { return codec ? asText(codec->name) : QString(); };
    tensors << QJsonObject{{"name", QString::fromStdString(model.tensors()[choice.tensor].name)},
                           {"requested", nameOf(choice.requested)},
                           {"effective", nameOf(choice.effective)},
                           {"reason", QString::fromStdString(choice.reason)},
                           {"bytes", qint64(choice.bytes)}};
  }
  const QJsonObject result{{"bytes", qint64(summary.bytes)},
                           {"bpw", summary.bitsPerWeight},
                           {"seconds", summary.seconds},
                           {"tensors", tensors}};
  return QJsonDocument(result).toJson(QJsonDocument::Compact).toStdString();
}

Run runFor(RunKind kind, const Model& model, const Plan& plan, const Recipe& recipe,
           const QString& title) {
  Run run;
  run.kind = kind;
  run.model = model.name();
  run.fingerprint = model.fingerprint();
  run.title = title.toStdString();
  run.state = "running";
  run.recipeJson = toJson(recipe);
  run.planHash = plan.hash;
  run.bytes = plan.fileBytes;
  run.bitsPerWeight = plan.bitsPerWeight;
  return run;
}

}  // namespace

bool Document::saveRecipeTo(const QString& path) {
  if (!isOpen()) return false;
  if (auto saved = saveRecipe(m_recipe, path.toStdString()); !saved) {
    emit failed(tr("Save the plan"), QString::fromStdString(saved.error().message));
    return false;
  }
  m_recipePath = path;
  m_undo.setClean();
  Run run = runFor(RunKind::Plan, *m_model, m_plan, m_recipe, QFileInfo(path).completeBaseName());
  run.state = "done";
  run.path = path.toStdString();
  if (m_damage.kind == Damage::Kind::Measured) {
    const QJsonObject kld{{"mean", m_damage.value}, {"error", m_damage.error}};
    run.resultJson = QJsonDocument(QJsonObject{{"kld", kld}, {"tokens", int(m_damage.tokens)}})
                         .toJson(QJsonDocument::Compact)
                         .toStdString();
  }
  if (auto id = m_store.add(run); !id) {
    emit failed(tr("Save the plan"), QString::fromStdString(id.error().message));
  }
  emit runsChanged();
  return true;
}

bool Document::loadRecipeFrom(const QString& path) {
  auto recipe = loadRecipe(path.toStdString());
  if (!recipe) {
    emit failed(tr("Open a plan"), QString::fromStdString(recipe.error().message));
    return false;
  }
  return setRecipe(*recipe, tr("open %1").arg(QFileInfo(path).fileName()));
}

void Document::quantizeTo(const QString& path) {
  if (!isOpen()) return;
  const Recipe recipe = m_recipe;
  auto plan = resolve(recipe, *m_model);
  if (!plan) {
    emit failed(tr("Quantize"), QString::fromStdString(plan.error().message));
    return;
  }
  Run run = runFor(RunKind::Quantize, *m_model, *plan, recipe, planLabel());
  writeJob(
      tr("Quantize · %1").arg(QFileInfo(path).fileName()), run, path,
      [plan = *plan](ModelWork& work, const std::filesystem::path& target,
                     JobContext& job) -> Result<QuantizeSummary> {
        TRY(auto calibration, work.calibrationFor(plan, job));
        return quantize(*work.model, plan, calibration.get(), target, {.resume = true}, job);
      },
      [this](const QuantizeSummary& summary) { emit quantized(summary); });
}

void Document::exportTo(const Exporter& exporter, const ExportCheck& check, const QString& path) {
  if (!isOpen()) return;
  Run run = runFor(RunKind::Export, *m_model, check.plan, check.recipe,
                   tr("%1 for %2").arg(planLabel(), asText(exporter.title)));
  QString command = QString::fromStdString(check.command);
  command.replace("%f", path);
  writeJob(
      tr("Export · %1").arg(QFileInfo(path).fileName()), run, path,
      [check, item = &exporter](ModelWork& work, const std::filesystem::path& target,
                                JobContext& job) -> Result<QuantizeSummary> {
        TRY(auto calibration, work.calibrationFor(check.plan, job));
        return item->write(check, *work.model, calibration.get(), target, job);
      },
      [this, command](const QuantizeSummary& summary) { emit exported(summary, command); });
}

void Document::writeJob(
    const QString& title, Run run, const QString& path,
    std::function<Result<QuantizeSummary>(ModelWork&, const std::filesystem::path&, JobContext&)>
        write,
    std::function<void(const QuantizeSummary&)> done) {
  const QString what = title.section(" · ", 0, 0);
  if (QFileInfo(path) == QFileInfo(QString::fromStdString(m_model->path().string()))) {
    emit failed(what, tr("%1 is the open model itself: choose another name.").arg(path));
    return;
  }
  run.path = path.toStdString();
  auto id = m_store.add(run);
  if (!id) {
    emit failed(what, QString::fromStdString(id.error().message));
    return;
  }
  run.id = *id;
  emit runsChanged();
  auto job = std::make_shared<int>(0);
  *job = m_jobs.start<QuantizeSummary>(
      title, JobPriority::Quantize, this,
      [work = m_work, write, target = std::filesystem::path(path.toStdString())](
          JobContext& context) { return write(*work, target, context); },
      [this, run, what, done, job, model = m_model](Result<QuantizeSummary> summary) mutable {
        Result<void> kept;
        if (summary) {
          run.state = "done";
          run.bytes = summary->bytes;
          run.bitsPerWeight = summary->bitsPerWeight;
          run.resultJson = resultOf(*summary, *model);
          kept = m_store.update(run);
          m_jobs.setMessage(
              *job, tr("%1 in %2").arg(formatGB(summary->bytes), formatDuration(summary->seconds)),
              run.id);
        } else if (summary.error().code == ErrorCode::Cancelled) {
          kept = m_store.remove(run.id);  // an outcome, not a result
        } else {
          run.state = "failed";
          run.notes = summary.error().message;
          kept = m_store.update(run);
          emit failed(what, QString::fromStdString(summary.error().message));
        }
        if (!kept) emit failed(what, QString::fromStdString(kept.error().message));
        emit runsChanged();
        if (summary) done(*summary);
      });
}

}  // namespace bitloom
