// SPDX-License-Identifier: GPL-3.0-or-later
// The tensors of a model as rows. `Qt::UserRole` holds what a column sorts by.
#pragma once
#include <QAbstractTableModel>
#include <memory>
#include <string>
#include <vector>

#include "core/model.h"

namespace bitloom {

class TensorTable : public QAbstractTableModel {
  Q_OBJECT
 public:
  enum Column { Name, Shape, Type, Size, Role, kColumns };

  using QAbstractTableModel::QAbstractTableModel;
  // `roles`: one for each tensor, may be empty strings; or an empty list.
  void setTensors(std::shared_ptr<const Model> model, std::vector<std::string> roles);

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  std::shared_ptr<const Model> m_model;
  std::vector<std::string> m_roles;
};

}  // namespace bitloom
