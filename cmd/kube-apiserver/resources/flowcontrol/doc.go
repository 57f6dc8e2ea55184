// Package flowcontrol declares the objects of API priority and fairness.
package flowcontrol
