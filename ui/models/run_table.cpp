// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/run_table.h"

#include <QDateTime>
#include <QJsonDocument>
#include <QJsonObject>
#include <QLocale>
#include <cmath>

#include "ui/format.h"

namespace bitloom {
namespace {

std::optional<RunFigures::Value> valueAt(const QJsonObject& result, const char* name,
                                         const char* mean) {
  const QJsonObject object = result.value(QLatin1String(name)).toObject();
  const QJsonValue value = object.value(QLatin1String(mean));
  if (!value.isDouble()) return std::nullopt;
  return RunFigures::Value{value.toDouble(), object.value(QLatin1String("error")).toDouble()};
}

QString stateTitle(const std::string& state) {
  if (state == "running") return RunTable::tr("running");
  if (state == "done") return RunTable::tr("done");
  if (state == "cancelled") return RunTable::tr("stopped");
  if (state == "failed") return RunTable::tr("failed");
  if (state == "interrupted") return RunTable::tr("interrupted");
  return QString::fromStdString(state);
}

QDateTime timeOf(const Run& run) {
  QDateTime time = QDateTime::fromString(QString::fromStdString(run.created), Qt::ISODate);
  if (time.timeSpec() == Qt::LocalTime) time.setTimeSpec(Qt::UTC);
  return time.toLocalTime();
}

}  // namespace

RunFigures figuresOf(const Run& run) {
  const QJsonObject result =
      QJsonDocument::fromJson(QByteArray::fromStdString(run.resultJson)).object();
  return {valueAt(result, "kld", "mean"), valueAt(result, "same_top", "share"),
          valueAt(result, "perplexity", "mean")};
}

QString kindTitle(RunKind kind) {
  switch (kind) {
    case RunKind::Scan:
      return RunTable::tr("Scan");
    case RunKind::Plan:
      return RunTable::tr("Plan");
    case RunKind::Quantize:
      return RunTable::tr("Quantized");
    case RunKind::Evaluate:
      return RunTable::tr("Proof");
    case RunKind::Export:
      return RunTable::tr("Export");
    case RunKind::Chat:
      return RunTable::tr("Chat");
  }
  return {};
}

void RunTable::setRuns(std::vector<Run> runs) {
  beginResetModel();
  m_runs = std::move(runs);
  m_figures.clear();
  for (const Run& run : m_runs) m_figures.push_back(figuresOf(run));
  endResetModel();
}

int RunTable::rowOf(int64_t id) const {
  for (size_t row = 0; row < m_runs.size(); ++row) {
    if (m_runs[row].id == id) return int(row);
  }
  return -1;
}

int RunTable::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : int(m_runs.size());
}

int RunTable::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : kColumns;
}

QVariant RunTable::text(const Run& run, int column) const {
  const RunFigures& figures = m_figures[size_t(&run - m_runs.data())];
  switch (column) {
    case When:
      return QLocale().toString(timeOf(run), "d MMM hh:mm");
    case Kind:
      return kindTitle(run.kind);
    case Title:
      return QString::fromStdString(run.title);
    case Size:
      return run.bytes == 0 ? QString() : formatGB(run.bytes);
    case Bpw:
      return run.bitsPerWeight <= 0 ? QString() : QString::number(run.bitsPerWeight, 'f', 3);
    case Kld:
      return figures.kld ? formatKldError(figures.kld->mean, figures.kld->error) : QString();
    case SameTop:
      return figures.sameTop ? formatPercent(figures.sameTop->mean) : QString();
    case State:
      return stateTitle(run.state);
    case Notes:
      return QString::fromStdString(run.notes);
    default:
      return {};
  }
}

QVariant RunTable::key(const Run& run, int column) const {
  const RunFigures& figures = m_figures[size_t(&run - m_runs.data())];
  switch (column) {
    case When:
      return qlonglong(run.id);
    case Size:
      return qulonglong(run.bytes);
    case Bpw:
      return run.bitsPerWeight;
    case Kld:
      return figures.kld ? figures.kld->mean : INFINITY;
    case SameTop:
      return figures.sameTop ? figures.sameTop->mean : -1.0;
    default:
      return text(run, column);
  }
}

QVariant RunTable::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  const Run& run = m_runs[size_t(index.row())];
  const bool figure = index.column() >= Size && index.column() <= SameTop;
  switch (role) {
    case Qt::DisplayRole:
    case Qt::EditRole:
      return text(run, index.column());
    case Qt::UserRole:
      return key(run, index.column());
    case Qt::TextAlignmentRole:
      return int((figure ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
    case Qt::ToolTipRole:
      return run.path.empty() ? text(run, index.column()) : QString::fromStdString(run.path);
    default:
      return {};
  }
}

bool RunTable::setData(const QModelIndex& index, const QVariant& value, int role) {
  if (role != Qt::EditRole || index.column() != Notes) return false;
  Run& run = m_runs[size_t(index.row())];
  run.notes = value.toString().toStdString();
  emit dataChanged(index, index);
  emit notesEdited(run);
  return true;
}

Qt::ItemFlags RunTable::flags(const QModelIndex& index) const {
  const Qt::ItemFlags common = QAbstractTableModel::flags(index);
  return index.column() == Notes ? common | Qt::ItemIsEditable : common;
}

QVariant RunTable::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole) {
    const bool figure = section >= Size && section <= SameTop;
    return int((figure ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
  }
  if (role != Qt::DisplayRole) return {};
  switch (section) {
    case When:
      return tr("when");
    case Kind:
      return tr("kind");
    case Title:
      return tr("title");
    case Size:
      return tr("size");
    case Bpw:
      return tr("bpw");
    case Kld:
      return tr("KLD");
    case SameTop:
      return tr("same top");
    case State:
      return tr("state");
    case Notes:
      return tr("notes");
    default:
      return {};
  }
}

}  // namespace bitloom
