// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/runs_export.h"

#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QSaveFile>

#include "core/base/strings.h"
#include "core/report.h"
#include "ui/models/run_table.h"

namespace bitloom {
namespace {

QString asText(std::string_view text) {
  return QString::fromUtf8(text.data(), qsizetype(text.size()));
}

// RFC 4180, section 2.
QString quoted(QString text) {
  if (!text.contains(',') && !text.contains('"') && !text.contains('\n')) return text;
  return '"' + text.replace('"', "\"\"") + '"';
}

QString number(const std::optional<RunFigures::Value>& value, bool error) {
  return value ? QString::number(error ? value->error : value->mean, 'g', 12) : QString();
}

QJsonObject parsed(const std::string& json) {
  return QJsonDocument::fromJson(QByteArray::fromStdString(json)).object();
}

}  // namespace

QByteArray runsAsCsv(const std::vector<Run>& runs) {
  QString out =
      "id,kind,created,model,title,state,bytes,bpw,kld,kld_error,same_top,perplexity,path,"
      "notes\r\n";
  for (const Run& run : runs) {
    const RunFigures figures = figuresOf(run);
    const QStringList fields = {QString::number(run.id),
                                asText(name(run.kind)),
                                asText(run.created),
                                asText(run.model),
                                asText(run.title),
                                asText(run.state),
                                QString::number(run.bytes),
                                QString::number(run.bitsPerWeight, 'g', 8),
                                number(figures.kld, false),
                                number(figures.kld, true),
                                number(figures.sameTop, false),
                                number(figures.perplexity, false),
                                asText(run.path),
                                asText(run.notes)};
    QStringList safe;
    for (const QString& field : fields) safe << quoted(field);
    out += safe.join(',') + "\r\n";
  }
  return out.toUtf8();
}

QByteArray runsAsJson(const std::vector<Run>& runs) {
  QJsonArray list;
  for (const Run& run : runs) {
    list << QJsonObject{{"id", qint64(run.id)},
                        {"kind", asText(name(run.kind))},
                        {"created", asText(run.created)},
                        {"model", asText(run.model)},
                        {"fingerprint", asText(run.fingerprint)},
                        {"title", asText(run.title)},
                        {"state", asText(run.state)},
                        {"bytes", qint64(run.bytes)},
                        {"bpw", run.bitsPerWeight},
                        {"path", asText(run.path)},
                        {"notes", asText(run.notes)},
                        {"recipe", parsed(run.recipeJson)},
                        {"result", parsed(run.resultJson)}};
  }
  return QJsonDocument(QJsonObject{{"runs", list}}).toJson();
}

Result<void> saveRuns(const std::vector<Run>& runs, const QString& path) {
  QSaveFile file(path);
  const QByteArray bytes = path.endsWith(".json") ? runsAsJson(runs) : runsAsCsv(runs);
  if (!file.open(QIODevice::WriteOnly) || file.write(bytes) != bytes.size() || !file.commit()) {
    return makeError(ErrorCode::Io, path.toStdString(), ": ", file.errorString().toStdString(),
                     ".");
  }
  return {};
}

Result<void> saveReport(const std::vector<Run>& runs, const Sensitivity& cells, const Model* model,
                        const QString& path) {
  ReportRequest request;
  for (const Run& run : runs) {
    if (run.fingerprint == runs.front().fingerprint) request.runs.push_back(run);
  }
  if (!runs.empty() && model != nullptr && model->fingerprint() == runs.front().fingerprint) {
    request.model = model;
    if (!cells.cells.empty()) request.cells = cells;
  }
  TRY(const Report report, buildReport(request));
  return bitloom::saveReport(report, path.toStdString());
}

}  // namespace bitloom
